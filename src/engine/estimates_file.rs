//! The file that keeps what was learned about the speed of a model on this machine.

use super::decode::Decoder;
use super::loaded_model::ModelInfo;
use crate::{files, folders};
use std::path::{Path, PathBuf};

/// Bytes that such a file has at most.
const MAX_BYTES: u64 = 1 << 18;
/// Characters of the name of a model in the name of a file.
const MAX_NAME: usize = 60;

/// Where the estimates of a model are kept; `None` without a cache folder.
pub(super) fn path(info: &ModelInfo, simd: Option<&str>) -> Option<PathBuf> {
    let plain = |text: &str| -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        text.chars().take(MAX_NAME).map(plain).collect()
    };
    let name = format!(
        "{}-{}-{}-{}-{}.json",
        plain(&info.name),
        info.weight_bytes,
        plain(&info.dtype),
        plain(&info.device),
        plain(simd.unwrap_or("none"))
    );
    Some(folders::cache()?.join("estimates").join(name))
}

/// Reads estimates, if there are any.
pub(super) fn read(path: &Path, decoder: &mut Decoder) {
    let small = std::fs::metadata(path).is_ok_and(|file| file.len() <= MAX_BYTES);
    if let (true, Ok(json)) = (small, std::fs::read_to_string(path)) {
        decoder.set_estimates(&json);
    }
}

/// Writes estimates. They can be learned anew, so that a failure is no error.
pub(super) fn write(path: &Path, decoder: &Decoder) {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| files::replace(path, decoder.estimates().as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "estimates not kept");
    }
}
