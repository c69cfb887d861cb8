//! The file with learned estimates of a model's speed on this machine.

use super::decode::Decoder;
use super::loaded_model::ModelInfo;
use crate::{files, folders};
use std::path::{Path, PathBuf};

/// Max size of the file in bytes.
const MAX_BYTES: u64 = 1 << 18;
/// Max characters of a model's name in the file name.
const MAX_NAME: usize = 60;

/// Path of a model's estimates; `None` without a cache folder.
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

/// Writes estimates. A failure is not an error: they can be learned again.
pub(super) fn write(path: &Path, decoder: &Decoder) {
    let written = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| files::replace(path, decoder.estimates().as_bytes()));
    if let Err(error) = written {
        tracing::debug!(%error, "estimates not kept");
    }
}
