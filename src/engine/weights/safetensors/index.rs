//! Finds the safetensors files of a folder.

use crate::engine::weights::hf_folder::read_json;
use crate::engine::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Name of the file if there is only one.
pub const SINGLE_FILE: &str = "model.safetensors";
/// Name of the index of sharded weights, which maps tensors to files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// The weights files.
///
/// # Errors
///
/// If one is missing.
pub fn find_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = weight_files(folder)?.ok_or_else(|| {
        Error::Model(format!(
            "{}: this folder has neither {SINGLE_FILE} nor {INDEX_FILE}; PyTorch's .bin files cannot be read",
            folder.display()
        ))
    })?;
    names.iter().map(|name| present(folder, name)).collect()
}

/// Names of the weights files: the single file if it exists, else the files in the index; `None` without either. As in
/// transformers, the single file takes precedence, because an index next to it may be left over from an earlier save.
///
/// # Errors
///
/// If the index is damaged, or names files outside of the folder.
pub fn weight_files(folder: &Path) -> Result<Option<BTreeSet<String>>> {
    if folder.join(SINGLE_FILE).exists() {
        return Ok(Some(BTreeSet::from([SINGLE_FILE.to_owned()])));
    }
    let index = folder.join(INDEX_FILE);
    let Some(json) = read_json(&index)? else {
        return Ok(None);
    };
    let map = json.get("weight_map").and_then(|map| map.as_object());
    let map = map
        .filter(|map| !map.is_empty())
        .ok_or_else(|| Error::file(&index, "weight_map is missing"))?;
    let name = |value: &serde_json::Value| match value.as_str() {
        Some(name) if is_plain_name(name) => Ok(name.to_owned()),
        _ => Err(Error::file(
            &index,
            format!("{value} is not a file of this folder"),
        )),
    };
    map.values().map(name).collect::<Result<_>>().map(Some)
}

/// Whether a name stays within the folder; the index is not trusted.
fn is_plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(
        (parts.next(), parts.next()),
        (Some(Component::Normal(_)), None)
    )
}

fn present(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let missing = || {
        Error::file(
            folder.join(INDEX_FILE),
            format!("{name} is missing; is the download complete?"),
        )
    };
    path.exists().then_some(path).ok_or_else(missing)
}
