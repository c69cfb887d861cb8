//! Resolves the name of a model: a path, an id of the Hugging Face hub, or the bundled model.

use super::catalog::{KNOWN_MODELS, PUBLISHED_MODEL, known_model};
use super::embedded::{EMBEDDED_PATH, embedded};
use super::hub::{Hub, HubModel};
use crate::engine::Progress;
use crate::engine::{Error, Result};
use crate::folders;
use std::path::{Path, PathBuf};

/// File name of the model that comes with skiplens.
pub const BUNDLED_FILE: &str = "skiplens-smollm2-135m.gguf";
/// Environment variable that names a folder with the bundled model.
const FOLDER_VARIABLE: &str = "SKIPLENS_MODEL_DIR";

/// Finds a model, downloading it if necessary: a path, an id of the Hugging Face hub (`org/name`, or for repositories of
/// GGUF files `org/name:Q8_0` or `org/name/file.gguf`), the name of a known model, or nothing for the bundled model.
///
/// # Errors
///
/// If there is no such model, or its download fails.
pub fn locate(model: Option<&str>, progress: &mut Progress) -> Result<PathBuf> {
    match model.map(str::trim).filter(|name| !name.is_empty()) {
        None if embedded(Path::new(EMBEDDED_PATH)).is_some() => Ok(EMBEDDED_PATH.into()),
        None => find_bundled(&bundled_folders()),
        Some(name) => match resolve(name)? {
            Place::Local(path) => Ok(path),
            Place::Hub(model) => Hub::from_env()?.fetch(&model, progress),
        },
    }
}

/// What a name refers to.
#[derive(Debug, PartialEq)]
enum Place {
    Local(PathBuf),
    Hub(HubModel),
}

fn resolve(name: &str) -> Result<Place> {
    let path = Path::new(name);
    if path.exists() || embedded(path).is_some() {
        return Ok(Place::Local(path.to_owned()));
    }
    if let Some(known) = known_model(name) {
        return Ok(Place::Hub(HubModel::repository(known.id)));
    }
    let looks_like_path = path.is_absolute() || name.starts_with(['.', '~']) || name.contains('\\');
    match HubModel::parse(name) {
        Some(model) if !looks_like_path => Ok(Place::Hub(model)),
        _ => Err(Error::Model(format!(
            "{name}: no such file or folder{}",
            if looks_like_path {
                String::new()
            } else {
                format!(", and not the name of a model; {}", choices())
            }
        ))),
    }
}

/// Valid forms of a name, for an error message.
fn choices() -> String {
    let known: Vec<_> = KNOWN_MODELS
        .iter()
        .map(|model| model.short_name())
        .collect();
    format!(
        "give a path, a Hugging Face id such as HuggingFaceTB/SmolLM2-135M-Instruct, or one of {}",
        known.join(", ")
    )
}

/// The folders to search for the bundled model, in order.
fn bundled_folders() -> Vec<PathBuf> {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.canonicalize().ok());
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    folders_of(
        std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from),
        repository,
        program.as_deref(),
        folders::data(),
    )
}

/// The folder `named` by the user, the folders around the program, where an installation puts the model, the
/// repository's, and the user's data folder.
fn folders_of(
    named: Option<PathBuf>,
    repository: &Path,
    program: Option<&Path>,
    data: Option<PathBuf>,
) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = named.into_iter().collect();
    if let Some(folder) = program.and_then(Path::parent) {
        found.extend([folder.join("assets"), folder.to_owned()]);
        found.extend(folder.parent().map(|above| above.join("share/skiplens")));
    }
    found.push(repository.join("assets"));
    found.extend(data);
    found
}

fn find_bundled(folders: &[PathBuf]) -> Result<PathBuf> {
    if let Some(path) = folders
        .iter()
        .map(|folder| folder.join(BUNDLED_FILE))
        .find(|path| path.is_file())
    {
        return Ok(path);
    }
    let looked: Vec<_> = folders
        .iter()
        .map(|folder| format!("  {}", folder.display()))
        .collect();
    Err(Error::Model(format!(
        "the bundled model {BUNDLED_FILE} was not found; looked in\n{}\nCopy it there from a release or from the folder assets of the \
         repository, set {FOLDER_VARIABLE} to its folder, or choose another model: --model PATH, or --model \
         {PUBLISHED_MODEL}, which is downloaded (it was not trained for early exit, so few of its drafts will be \
         accepted)",
        looked.join("\n")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve() {
        let hub = |name: &str| match resolve(name) {
            Ok(Place::Hub(model)) => model.to_string(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(
            hub("layerskip-llama3.2-1B"),
            "facebook/layerskip-llama3.2-1B"
        );
        assert_eq!(
            hub("facebook/LAYERSKIP-llama2-70b"),
            "facebook/layerskip-llama2-70B"
        );
        assert_eq!(
            hub("HuggingFaceTB/SmolLM2-135M"),
            "HuggingFaceTB/SmolLM2-135M"
        );
        assert_eq!(hub("https://huggingface.co/a/b"), "a/b");
        assert_eq!(hub("a/b:Q8_0"), "a/b:Q8_0");
        assert_eq!(hub("a/b/c/d.gguf"), "a/b/c/d.gguf");
        assert_eq!(resolve(".").unwrap(), Place::Local(".".into()));
    }

    #[test]
    fn unknown_names_are_explained() {
        for name in [
            "./none.gguf",
            "/nowhere/none",
            "none.gguf",
            "gpt9",
            "a/../b.gguf",
            "a/b/c",
            "a/b c",
        ] {
            let error = resolve(name).unwrap_err().to_string();
            assert!(error.contains("no such file or folder"), "{error}");
        }
        assert!(
            resolve("gpt9")
                .unwrap_err()
                .to_string()
                .contains("layerskip-llama2-7B")
        );
    }

    /// An installed program has no repository: the model is next to it, in the prefix's `share` or in the user's data
    /// folder.
    #[test]
    fn the_bundled_model_is_found_in_each_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let found = || {
            let program = at("prefix/bin/skiplens");
            find_bundled(&folders_of(
                Some(at("named")),
                &at("repository"),
                Some(&program),
                Some(at("data")),
            ))
            .ok()
        };
        assert_eq!(found(), None);
        for place in [
            "data",
            "repository/assets",
            "prefix/share/skiplens",
            "prefix/bin",
            "prefix/bin/assets",
            "named",
        ] {
            std::fs::create_dir_all(at(place)).unwrap();
            std::fs::write(at(place).join(BUNDLED_FILE), "x").unwrap();
            assert_eq!(
                found(),
                Some(at(place).join(BUNDLED_FILE)),
                "{place} takes precedence over the earlier folders"
            );
        }
    }

    #[test]
    fn a_missing_bundled_model_lists_the_searched_folders() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        let folders = [empty.clone(), folder.path().to_owned()];
        let error = find_bundled(&folders).unwrap_err().to_string();
        assert!(
            error.contains(&empty.display().to_string())
                && error.contains("Copy it there")
                && error.contains("--model"),
            "{error}"
        );
        std::fs::write(folder.path().join(BUNDLED_FILE), "x").unwrap();
        assert_eq!(
            find_bundled(&folders).unwrap(),
            folder.path().join(BUNDLED_FILE)
        );
    }
}
