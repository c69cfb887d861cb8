//! Which safetensors files a folder holds.

use super::read_json;
use crate::engine::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The weights where they are in one file.
pub const SINGLE_FILE: &str = "model.safetensors";
/// Says which tensor is in which file where there are several.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// The files that hold the weights, all of them present.
pub fn find_shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = weight_files(folder)?.ok_or_else(|| {
        Error::Model(format!(
            "{}: neither {SINGLE_FILE} nor {INDEX_FILE} is in this folder; weights in PyTorch's .bin files cannot be read",
            folder.display()
        ))
    })?;
    names.iter().map(|name| present(folder, name)).collect()
}

/// Names of the files that hold the weights: the single one if it is there, as transformers decides it, for an index
/// beside it may be left over from another save; or else those that the index lists. None without either.
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
        Some(name) if is_mere_name(name) => Ok(name.to_owned()),
        _ => Err(Error::file(
            &index,
            format!("{value} is not a file of this folder"),
        )),
    };
    map.values().map(name).collect::<Result<_>>().map(Some)
}

/// A shard must lie in the folder itself, whatever the index says.
fn is_mere_name(name: &str) -> bool {
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
