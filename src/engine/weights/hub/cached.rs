//! The local cache of the hub.

use super::Hub;
use super::model::{HubModel, is_gguf};
use crate::engine::weights::hf_folder::read_json;
use crate::engine::weights::safetensors::weight_files;
use hf_hub::Repo;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A model in the cache that can be opened without the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedModel {
    /// Id on the hub.
    pub id: String,
    /// Folder or GGUF file.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The Llamas in the cache, sorted by name; empty if the cache cannot be read.
pub fn cached_models() -> Vec<CachedModel> {
    Hub::from_env()
        .map(|hub| hub.cached_models())
        .unwrap_or_default()
}

impl Hub {
    /// The Llamas in this cache, sorted by name.
    pub fn cached_models(&self) -> Vec<CachedModel> {
        let entries = std::fs::read_dir(&self.cache)
            .into_iter()
            .flatten()
            .flatten();
        let mut models: Vec<CachedModel> = entries
            .filter_map(|entry| {
                let id = entry
                    .file_name()
                    .to_str()?
                    .strip_prefix("models--")?
                    .replacen("--", "/", 1);
                let path = self.cached(&HubModel::parse(&id)?)?;
                let is_llama = path.is_file() || names_llama(&path.join("config.json"));
                is_llama.then(|| CachedModel {
                    id,
                    bytes: size_of(&path),
                    path,
                })
            })
            .collect();
        models.sort_by(|a, b| a.id.cmp(&b.id));
        models
    }

    /// The file or folder of a model, if the cache has all of it.
    pub(super) fn cached(&self, model: &HubModel) -> Option<PathBuf> {
        let folder = self.snapshot(&model.repository)?;
        if model.file.is_none() && is_complete(&folder) {
            return Some(folder);
        }
        let files = list(&folder, "");
        let names: Vec<&str> = files
            .iter()
            .map(String::as_str)
            .filter(|name| is_gguf(name))
            .collect();
        model.choose_gguf(&names).map(|file| folder.join(file))
    }

    /// The folder of the newest known revision.
    pub(super) fn snapshot(&self, repository: &str) -> Option<PathBuf> {
        let root = self
            .cache
            .join(Repo::model(repository.to_owned()).folder_name());
        let commit = std::fs::read_to_string(root.join("refs/main")).ok()?;
        let folder = root.join("snapshots").join(commit.trim());
        folder.is_dir().then_some(folder)
    }
}

/// Whether a folder has everything needed to open a model.
fn is_complete(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    let weights = weight_files(folder).ok().flatten();
    weights.is_some_and(|names| names.iter().all(|name| has(name)))
        && has("config.json")
        && has("tokenizer.json")
}

fn names_llama(config: &Path) -> bool {
    let json = read_json(config).ok().flatten().unwrap_or_default();
    json.get("architectures")
        .and_then(|list| list.get(0))
        .and_then(Value::as_str)
        == Some("LlamaForCausalLM")
}

/// Relative paths of the files in a folder and its subfolders, two levels deep.
fn list(folder: &Path, prefix: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.path() {
            path if path.is_file() => files.push(name),
            path if path.is_dir() && prefix.matches('/').count() < 2 => {
                files.extend(list(&path, &format!("{name}/")))
            }
            _ => {}
        }
    }
    files.sort();
    files
}

/// Size of a file, or of all files of a folder.
fn size_of(path: &Path) -> u64 {
    let file = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if path.is_file() {
        file(path)
    } else {
        list(path, "")
            .iter()
            .map(|name| file(&path.join(name)))
            .sum()
    }
}
