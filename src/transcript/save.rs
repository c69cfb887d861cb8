//! Saves a session under a chosen path.

use super::{Error, Result, Session, journal};
use crate::files;
use std::io::ErrorKind;
use std::path::Path;

/// Writes `session` to `path` as a journal that [`super::load`] reads.
///
/// # Errors
/// As [`write_file`].
pub fn save(session: &Session, path: &Path, replace: bool) -> Result<()> {
    write_file(path, &bytes(session), replace)
}

/// The bytes of `session` as a journal.
pub fn bytes(session: &Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    journal::push_json(&mut bytes, &session.header);
    session
        .lines()
        .for_each(|line| journal::push_json(&mut bytes, &line));
    bytes
}

/// Writes a file atomically, see [`files`]. An existing one is replaced only if `replace` is set.
///
/// # Errors
/// [`Error::Exists`] if the file exists and `replace` is not set; [`Error::Io`] if writing fails.
pub fn write_file(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    let written = match replace {
        true => files::replace(path, bytes),
        false => files::create(path, bytes),
    };
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Exists {
            path: path.to_owned(),
        },
        _ => Error::io(path, error),
    })
}
