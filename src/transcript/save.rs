//! Saving a session under a chosen path.

use super::{Error, Result, Session, journal};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `session` as a journal to `path`, for [`super::load`]. See [`write_file`].
pub fn save(session: &Session, path: &Path, replace: bool) -> Result<()> {
    let mut bytes = Vec::new();
    journal::push_json(&mut bytes, &session.header);
    session
        .lines()
        .for_each(|line| journal::push_json(&mut bytes, &line));
    write_file(path, &bytes, replace)
}

/// Writes a file that only its owner reads: whole or not at all. One that exists is replaced only if `replace` says
/// so.
pub fn write_file(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    if !replace && path.symlink_metadata().is_ok() {
        return Err(Error::Exists {
            path: path.to_owned(),
        });
    }
    if path.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    let beside = beside(path);
    let done = write_beside(&beside, bytes).and_then(|()| match replace {
        true => std::fs::rename(&beside, path),
        // A link, unlike a rename, never replaces what came there meanwhile.
        false => match std::fs::hard_link(&beside, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                std::fs::rename(&beside, path)
            }
            linked => linked,
        },
    });
    let _ = std::fs::remove_file(&beside);
    done.map_err(|error| Error::io(path, error))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_beside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}
