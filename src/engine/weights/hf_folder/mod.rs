//! A folder in Hugging Face's layout: `config.json`, `tokenizer.json`, and safetensors in one or several files.

mod json;
mod text;

pub use json::{read_json, read_text_file};

use super::safetensors::SafetensorsSource;
use super::{Checkpoint, Dtype, ModelDefaults, shapes, short_name};
use crate::engine::config::{LlamaConfig, hf as config};
use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Opens the folder of a Llama; matrices are converted to `dtype` when they are read.
///
/// # Errors
///
/// If a file is missing or damaged, or the model is not a Llama that skiplens supports.
pub fn open(folder: &Path, dtype: Dtype) -> Result<Checkpoint> {
    let config_path = folder.join("config.json");
    let json = read_json(&config_path)?.ok_or_else(|| {
        Error::Model(format!(
            "{}: this folder has neither a config.json nor a GGUF file",
            folder.display()
        ))
    })?;
    let config = config::parse(&json, &config_path)?;
    let mut tensors = SafetensorsSource::open(folder, &config, dtype)?;
    let config = LlamaConfig {
        tie_word_embeddings: tensors.tie(config.tie_word_embeddings)?,
        ..config
    };
    shapes::check(&tensors, &config).map_err(|fault| Error::file(folder, fault))?;
    let text = text::read(folder)?;
    Checkpoint {
        name: name_of(folder, &json),
        path: folder.to_owned(),
        end_tokens: text::end_tokens(folder, &json, &text, config.vocab_size)?,
        config,
        tensors: Box::new(tensors),
        defaults: ModelDefaults::default(),
        text,
        exits: None,
    }
    .with_exits(None)
}

/// The name of the repository if the folder is in the hub's cache, else the name of the folder.
fn name_of(folder: &Path, config: &Value) -> String {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let repository = |part: &std::path::Component| {
        Some(
            part.as_os_str()
                .to_str()?
                .strip_prefix("models--")?
                .replace("--", "/"),
        )
    };
    let in_cache = real.components().rev().find_map(|part| repository(&part));
    let named = || {
        config
            .get("_name_or_path")?
            .as_str()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
    };
    let own = real
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    short_name(&in_cache.or(own).or_else(named).unwrap_or_default())
}
