//! Tokenizer and chat template of a folder.

use super::json::{read_text, standard_json};
use super::{read_json, read_text_file};
use crate::engine::text::{
    NamedToken, Tables, TokenizerSpec, Vocabulary, read_tokenizer_json, turn_ends,
};
use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// Max bytes of a `tokenizer.json`; a vocabulary of 256,000 tokens takes 35 MB.
const MAX_TOKENIZER: u64 = 128 << 20;

/// Reads vocabulary, special tokens and chat template.
///
/// # Errors
///
/// If `tokenizer.json` is missing, or a file is damaged or not supported.
pub fn read(folder: &Path) -> Result<TokenizerSpec> {
    let path = folder.join("tokenizer.json");
    let Some(json) = read_text(&path, MAX_TOKENIZER)? else {
        return Err(Error::Model(format!(
            "{}: tokenizer.json is missing (skiplens does not read tokenizer.model)",
            folder.display()
        )));
    };
    let names = Names::read(folder)?;
    let tables = read_tokenizer_json(&standard_json(&json), &names.all()).map_err(|e| match e {
        Error::Tokenizer(fault) => Error::file(&path, fault),
        other => other,
    })?;
    Ok(TokenizerSpec {
        vocabulary: Vocabulary::Json(Arc::new(tables)),
        bos_token: names.one("bos_token"),
        eos_token: names.one("eos_token"),
        add_bos: names.config.get("add_bos_token").and_then(Value::as_bool),
        chat_template: chat_template(folder, &names.config)?,
    })
}

/// The two files besides `tokenizer.json` that name tokens.
struct Names {
    /// `tokenizer_config.json`.
    config: Value,
    /// `special_tokens_map.json`.
    map: Value,
}

impl Names {
    fn read(folder: &Path) -> Result<Self> {
        let json = |name: &str| read_json(&folder.join(name));
        Ok(Self {
            config: json("tokenizer_config.json")?.unwrap_or_default(),
            map: json("special_tokens_map.json")?.unwrap_or_default(),
        })
    }

    /// The token for a purpose, such as `eos_token`. As in transformers, the map takes precedence over an old
    /// configuration without `added_tokens_decoder`.
    fn one(&self, key: &str) -> Option<String> {
        let [first, second] = match self.config.get("added_tokens_decoder") {
            Some(_) => [&self.config, &self.map],
            None => [&self.map, &self.config],
        };
        let token = |file: &Value| named(file.get(key)?, true).map(|token| token.content);
        token(first).or_else(|| token(second))
    }

    /// Every token that either file names, with whether it is a control token.
    fn all(&self) -> Vec<NamedToken> {
        let mut all = Vec::new();
        let added = self.config.get("added_tokens_decoder");
        for token in added
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|map| map.values())
        {
            let control = token.get("special").and_then(Value::as_bool) == Some(true);
            all.extend(named(token, control).map(|token| NamedToken {
                overrides: true,
                ..token
            }));
        }
        for file in [&self.config, &self.map] {
            for (key, value) in file.as_object().into_iter().flatten() {
                match value {
                    value if key.ends_with("_token") => all.extend(named(value, true)),
                    Value::Array(list) if is_list_of_names(key) => {
                        all.extend(list.iter().filter_map(|value| named(value, true)));
                    }
                    Value::Object(map) if is_list_of_names(key) => {
                        all.extend(map.values().filter_map(|value| named(value, true)));
                    }
                    _ => {}
                }
            }
        }
        all
    }
}

fn is_list_of_names(key: &str) -> bool {
    matches!(key, "additional_special_tokens" | "extra_special_tokens")
}

/// A token: a string, or an object with the string in `content` and with options.
fn named(value: &Value, control: bool) -> Option<NamedToken> {
    let content = value.as_str().or_else(|| value.get("content")?.as_str())?;
    let flag = |name: &str| value.get(name)?.as_bool();
    let flags = || {
        Some([
            flag("single_word")?,
            flag("lstrip")?,
            flag("rstrip")?,
            flag("normalized")?,
        ])
    };
    Some(NamedToken {
        content: content.to_owned(),
        control,
        flags: flags(),
        overrides: false,
    })
}

/// The chat template. A separate file takes precedence over the configuration, which holds one template or several
/// named ones.
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

/// The template named `default`, else the first.
fn default_template(named: &[Value]) -> Option<String> {
    let is_default = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
    let entry = named.iter().find(is_default).or(named.first())?;
    entry.get("template")?.as_str().map(str::to_owned)
}

/// All ids that end a text or a turn, from all files of the folder.
///
/// # Errors
///
/// If a file is damaged.
pub fn end_tokens(
    folder: &Path,
    config: &Value,
    text: &TokenizerSpec,
    vocab_size: usize,
) -> Result<Vec<u32>> {
    let generation = read_json(&folder.join("generation_config.json"))?.unwrap_or_default();
    let mut ids: Vec<u32> = [config, &generation]
        .into_iter()
        .flat_map(eos_ids)
        .collect();
    if let Vocabulary::Json(tables) = &text.vocabulary {
        ids.extend(named_ends(folder, tables)?);
    }
    ids.retain(|&id| (id as usize) < vocab_size);
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The ids of every `eos_token`, and of the control tokens known by name to end a turn.
fn named_ends(folder: &Path, tables: &Tables) -> Result<Vec<u32>> {
    let names = Names::read(folder)?;
    let eos = [&names.config, &names.map].map(|file| named(file.get("eos_token")?, true));
    let mut ids: Vec<u32> = eos
        .into_iter()
        .flatten()
        .filter_map(|token| tables.id(&token.content))
        .collect();
    ids.extend(turn_ends(tables.control_tokens()));
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
