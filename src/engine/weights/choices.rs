//! Lists models for the picker: the bundled one, recent ones, nearby files, the hub's cache, LayerSkip's.

use super::hub::Hub;
use super::{
    Description, KNOWN_MODELS, PUBLISHED_BYTES, PUBLISHED_MODEL, cached_models, describe,
    is_exits_file, locate,
};
use crate::engine::loaded_model::ModelRequest;
use crate::engine::memory::{available, human};
use crate::plural::counted;
use crate::{files, folders};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Max entries of a folder examined, and max models listed from it.
const ENTRIES: usize = 2000;
const MODELS: usize = 100;
/// Max levels of subfolders searched below a configured folder.
const DEPTH: usize = 2;
/// Max recent models remembered.
const RECENT: usize = 8;
/// Memory besides the weights (KV cache, repacked weights), as a fraction of them.
const OVERHEAD: f64 = 0.15;

/// A model in the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// The path or id to load; `None` for the default model.
    pub model: Option<String>,
    /// Name on screen.
    pub label: String,
    /// Type, size and location, or what is missing.
    pub note: String,
    /// Help before loading it: how to get access, or that it does not fit in memory.
    pub help: String,
}

/// Where to search for models.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The model requested at startup.
    pub request: ModelRequest,
    /// Folders of the settings file.
    pub folders: Vec<String>,
    /// Memory that the current model frees when another one is loaded.
    pub in_use: u64,
    /// Whether to list models that would have to be downloaded.
    pub downloads: bool,
    /// Whether the bundled model is named by its path, because another one is loaded without a name.
    pub bundled_by_path: bool,
}

impl Search {
    /// Finds models, without duplicates. Blocks for as long as slow folders take.
    pub fn run(&self) -> Vec<ModelChoice> {
        let free = available().map(|free| free + self.in_use);
        let mut choices: Vec<ModelChoice> = vec![bundled(free, self.bundled_by_path)];
        let mut add = |choice: ModelChoice| {
            if choices.iter().all(|known| known.model != choice.model) {
                choices.push(choice);
            }
        };
        let own = self.request.model.iter();
        let own = own.map(|name| (name.clone(), "from the command line"));
        for (name, remark) in own.chain(recent().into_iter().map(|name| (name, "recent"))) {
            if self.downloads || Path::new(&name).exists() {
                add(named(&name, remark, free));
            }
        }
        for path in self.nearby() {
            let place = path.parent().filter(|place| !place.as_os_str().is_empty());
            let place = place.map_or("this folder".into(), |place| place.display().to_string());
            add(file(&path, &path.to_string_lossy(), &place, free));
        }
        let cached = cached_models();
        for model in &cached {
            add(file(&model.path, &model.id, "downloaded", free));
        }
        if !self.downloads {
            return choices;
        }
        add(ModelChoice {
            note: format!("{} · not tuned: few accepted", human(PUBLISHED_BYTES)),
            ..on_hub(PUBLISHED_MODEL)
        });
        let has_token = Hub::from_env().is_ok_and(|hub| hub.token.is_some());
        for known in KNOWN_MODELS {
            let gated = if known.gated {
                " · access on request"
            } else {
                ""
            };
            let size = human(known.bytes);
            let choice = ModelChoice {
                note: format!("{} · {size}{gated}", counted(known.layers, "layer")),
                help: if known.gated {
                    access(known.id, has_token)
                } else {
                    String::new()
                },
                ..on_hub(known.id)
            };
            add(limited(choice, known.bytes, free));
        }
        choices
    }

    /// GGUF files and Hugging Face folders here and in the configured folders.
    fn nearby(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(Path::new(""), 0, &mut found);
        for folder in &self.folders {
            collect(&folders::expand_home(folder), DEPTH, &mut found);
        }
        found.truncate(MODELS);
        found
    }
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let place = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let read = fs::read_dir(place).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = read
        .take(ENTRIES)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && !name.chars().any(char::is_control))
        .map(|name| folder.join(name))
        .collect();
    paths.sort();
    for path in paths {
        let is_gguf = path
            .extension()
            .is_some_and(|kind| kind.eq_ignore_ascii_case("gguf"));
        if is_gguf && path.is_file() && !is_exits_file(&path) || path.join("config.json").is_file()
        {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            collect(&path, depth - 1, found);
        }
    }
}

fn bundled(free: Option<u64>, by_path: bool) -> ModelChoice {
    let Ok(path) = locate(None, &mut |_, _| {}) else {
        return ModelChoice {
            label: "bundled model".into(),
            note: "not found".into(),
            ..ModelChoice::default()
        };
    };
    ModelChoice {
        model: by_path.then(|| path.to_string_lossy().into_owned()),
        ..file(&path, "bundled model", "comes with skiplens", free)
    }
}

/// The model with a name: a path, or an id of the hub.
fn named(name: &str, remark: &str, free: Option<u64>) -> ModelChoice {
    let path = Path::new(name);
    match path.exists() {
        true => file(path, name, remark, free),
        false => ModelChoice {
            note: remark.into(),
            ..on_hub(name)
        },
    }
}

/// A model of the hub.
fn on_hub(id: &str) -> ModelChoice {
    ModelChoice {
        model: Some(id.to_owned()),
        label: id.to_owned(),
        ..ModelChoice::default()
    }
}

/// A model on disk: its type, size and location, or why it cannot be loaded.
fn file(path: &Path, name: &str, place: &str, free: Option<u64>) -> ModelChoice {
    match describe(path) {
        Ok(Description {
            dtype,
            layers,
            bytes,
            adapters,
        }) => {
            let adapters = (!adapters.is_empty()).then(|| {
                let exits: Vec<_> = adapters.iter().map(usize::to_string).collect();
                format!("exit adapters {}", exits.join(", "))
            });
            let layers = layers.map(|layers| counted(layers, "layer"));
            let parts = [
                Some(dtype),
                layers,
                Some(human(bytes)),
                adapters,
                Some(place.to_owned()),
            ];
            let note = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
            limited(
                ModelChoice {
                    note,
                    ..on_hub(name)
                },
                bytes,
                free,
            )
        }
        Err(error) => ModelChoice {
            note: format!("cannot be loaded · {place}"),
            help: error.to_string(),
            ..on_hub(name)
        },
    }
}

/// Memory that a model takes whose files have that many bytes, about.
pub fn memory_needed(bytes: u64) -> u64 {
    bytes.saturating_add((bytes as f64 * OVERHEAD) as u64)
}

/// Adds a remark if the model is too large for the free memory.
fn limited(mut choice: ModelChoice, bytes: u64, free: Option<u64>) -> ModelChoice {
    let needed = memory_needed(bytes);
    if let Some(free) = free.filter(|free| needed > *free) {
        choice.note.push_str(" · does not fit");
        let remark = format!(
            "It needs about {} of memory; {} are free. ",
            human(needed),
            human(free)
        );
        choice.help.insert_str(0, &remark);
    }
    choice
}

/// How to get access to a gated model.
fn access(id: &str, has_token: bool) -> String {
    let page = format!("https://huggingface.co/{id}");
    match has_token {
        true => format!(
            "Gated: access is requested at {page}; your Hugging Face token is sent with the download."
        ),
        false => format!(
            "Gated: request access at {page}, then run `hf auth login`, or set HF_TOKEN to a token from \
             https://huggingface.co/settings/tokens."
        ),
    }
}

/// The file with the recently loaded models.
fn recent_file() -> Option<PathBuf> {
    Some(folders::data()?.join("recent-models"))
}

/// Recently loaded models, newest first.
fn recent() -> Vec<String> {
    let text = recent_file().and_then(|file| fs::read_to_string(file).ok());
    let lines = text.unwrap_or_default();
    let valid = |line: &&str| !line.is_empty() && !line.chars().any(char::is_control);
    lines
        .lines()
        .filter(valid)
        .take(RECENT)
        .map(str::to_owned)
        .collect()
}

/// Adds a model to the recent ones. Errors of writing are ignored.
pub fn remember(name: &str) {
    let Some(file) = recent_file() else { return };
    let path = Path::new(name);
    let name = match path.exists().then(|| std::path::absolute(path)) {
        Some(Ok(path)) => path.to_string_lossy().into_owned(),
        _ => name.to_owned(),
    };
    let before = recent();
    if before.first() == Some(&name) {
        return;
    }
    let others = before.into_iter().filter(|other| *other != name);
    let lines: Vec<String> = std::iter::once(name.clone())
        .chain(others)
        .take(RECENT)
        .collect();
    if let Some(folder) = file.parent() {
        let _ = fs::create_dir_all(folder);
    }
    let _ = files::replace(&file, (lines.join("\n") + "\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearby_is_listed_once_with_what_is_wrong_about_it() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(below.join("damaged.gguf"), "x").unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let place = folder.path().to_string_lossy().into_owned();
        let search = Search {
            folders: vec![place.clone(), place],
            downloads: true,
            ..Search::default()
        };
        let found = search.run();
        let damaged: Vec<_> = found
            .iter()
            .filter(|choice| choice.label.ends_with("damaged.gguf"))
            .collect();
        assert_eq!(damaged.len(), 1);
        assert!(damaged[0].note.contains("cannot be loaded") && !damaged[0].help.is_empty());
        assert!(
            found
                .iter()
                .all(|choice| !choice.label.contains("notes.txt"))
        );
        let here = Search {
            downloads: false,
            ..search
        };
        assert!(
            here.run()
                .iter()
                .all(|choice| choice.label != PUBLISHED_MODEL)
        );
        assert_eq!(found[0].model, None, "the bundled model comes first");
    }

    #[test]
    fn a_model_that_is_too_large_says_what_it_needs() {
        let large = limited(on_hub("a/b"), 8_000_000_000, Some(4_000_000_000));
        assert!(large.note.contains("does not fit"));
        assert!(
            large.help.contains("9.2 GB") && large.help.contains("4.0 GB"),
            "{}",
            large.help
        );
        assert!(limited(on_hub("a/b"), 8_000_000_000, None).help.is_empty());
    }

    #[test]
    fn gated_models_say_where_access_and_token_come_from() {
        assert!(access("a/b", false).contains("HF_TOKEN") && access("a/b", false).contains("/a/b"));
        assert!(access("a/b", true).contains("token is sent"));
    }
}
