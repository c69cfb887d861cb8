//! Tokenizer and chat template of a folder.

use super::{read_json, read_text_file};
use crate::engine::text::{TextParts, Vocabulary, turn_ends};
use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Collect what the folder says about text.
pub fn read(folder: &Path) -> Result<TextParts> {
    let vocabulary = folder.join("tokenizer.json");
    if !vocabulary.is_file() {
        return Err(Error::Model(format!(
            "{}: tokenizer.json is missing (skiplens does not read tokenizer.model)",
            folder.display()
        )));
    }
    let config = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let map = read_json(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
    let name = |key: &str| token_name(&config, key).or_else(|| token_name(&map, key));
    Ok(TextParts {
        vocabulary: Vocabulary::File(vocabulary),
        bos_token: name("bos_token"),
        eos_token: name("eos_token"),
        add_bos: config.get("add_bos_token").and_then(Value::as_bool),
        chat_template: chat_template(folder, &config)?,
    })
}

/// A token is a text, or an object with the text in `content`.
fn token_name(config: &Value, key: &str) -> Option<String> {
    let token = config.get(key)?;
    token
        .as_str()
        .or_else(|| token.get("content")?.as_str())
        .map(str::to_owned)
}

/// A file of its own comes before the configuration, which holds one template or several with names.
fn chat_template(folder: &Path, config: &Value) -> Result<Option<String>> {
    if let Some(text) = read_text_file(&folder.join("chat_template.jinja"))? {
        return Ok(Some(text));
    }
    let file = read_json(&folder.join("chat_template.json"))?.unwrap_or_default();
    let value = file
        .get("chat_template")
        .or_else(|| config.get("chat_template"));
    Ok(value.and_then(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(named) => default_template(named),
        _ => None,
    }))
}

/// The template named `default`, or else the first.
fn default_template(named: &[Value]) -> Option<String> {
    let is_default = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
    let entry = named.iter().find(is_default).or(named.first())?;
    entry.get("template")?.as_str().map(str::to_owned)
}

/// Every id that the folder's files name as an end of text or turn.
pub fn end_tokens(folder: &Path, config: &Value, vocab_size: usize) -> Result<Vec<u32>> {
    let generation = read_json(&folder.join("generation_config.json"))?.unwrap_or_default();
    let tokenizer_config = read_json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let mut ids: Vec<u32> = [config, &generation]
        .into_iter()
        .flat_map(eos_ids)
        .collect();
    let eos = token_name(&tokenizer_config, "eos_token");
    let added = added_tokens(folder)?;
    let control = || added.iter().map(|(name, id)| (name.as_str(), *id));
    ids.extend(turn_ends(control()));
    ids.extend(
        control()
            .filter(|(name, _)| Some(*name) == eos.as_deref())
            .map(|(_, id)| id),
    );
    ids.retain(|&id| (id as usize) < vocab_size);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// `eos_token_id`: one id or a list.
fn eos_ids(config: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match config.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The control tokens that `tokenizer.json` lists.
fn added_tokens(folder: &Path) -> Result<Vec<(String, u32)>> {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        added_tokens: Vec<Added>,
    }
    #[derive(serde::Deserialize)]
    struct Added {
        id: u32,
        content: String,
        #[serde(default)]
        special: bool,
    }
    let path = folder.join("tokenizer.json");
    let text = read_text_file(&path)?.unwrap_or_default();
    let file: File = serde_json::from_str(&text)
        .map_err(|e| Error::file(&path, format!("damaged JSON: {e}")))?;
    Ok(file
        .added_tokens
        .into_iter()
        .filter(|token| token.special)
        .map(|token| (token.content, token.id))
        .collect())
}
