//! Which fields of a request are known, and what happens to the others.
//!
//! A field is supported, ignored because it cannot change the result, refused because it would, or unknown. Clients send
//! fields of other servers, so unknown ones are accepted and named in a header of the response, unless they look like a
//! misspelt name of a field that matters.

use crate::names::nearest;
use crate::server::error::{ApiError, Result};
use axum::http::HeaderName;
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, schema::Schema};

/// Fields of OpenAI's API that do not change what this server generates: bookkeeping, hints about speed, and hints for
/// models that reason.
const IGNORED: [&str; 11] = [
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
];

/// Fields that would change the result, with the values in compact JSON that ask for nothing; `null` always does.
/// The first are OpenAI's, the others those of vLLM and llama.cpp.
const REFUSED: [(&str, &[&str]); 15] = [
    ("audio", &[]),
    ("function_call", &["\"none\"", "\"auto\""]),
    ("modalities", &["[\"text\"]"]),
    ("tool_choice", &["\"none\"", "\"auto\""]),
    ("web_search_options", &[]),
    ("grammar", &["\"\""]),
    ("guided_choice", &["[]"]),
    ("guided_grammar", &["\"\""]),
    ("guided_json", &["{}", "\"\""]),
    ("guided_regex", &["\"\""]),
    ("ignore_eos", &["false"]),
    ("json_schema", &["{}"]),
    ("min_tokens", &["0"]),
    ("structured_outputs", &["{}"]),
    ("use_beam_search", &["false"]),
];

/// Names that other servers have for our fields. They are refused where the request does not give ours as well.
const SYNONYMS: [(&str, &str); 8] = [
    ("max_new_tokens", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("n_predict", "max_tokens"),
    ("num_predict", "max_tokens"),
    ("num_return_sequences", "n"),
    ("stop_sequences", "stop"),
    ("stop_words", "stop"),
    ("stopping_strings", "stop"),
];

/// Fields of other servers that resemble ours but mean something else.
const FOREIGN: [&str; 4] = ["mode", "models", "top_a", "top_n"];

/// Names that serde accepts besides those in the documentation, each with the documented one.
const ALIASES: [(&str, &str); 1] = [("repeat_penalty", "repetition_penalty")];

/// Fields that are objects and whose other fields are ignored, with the fields that they may have.
const NESTED: [(&str, &[&str]); 1] =
    [("stream_options", &["include_usage", "include_obfuscation"])];

/// The header of a response that lists the fields that had no effect.
pub const HEADER: HeaderName = HeaderName::from_static("x-skiplens-ignored");
/// Max unknown fields of a request: each is compared with all known ones.
const MAX_UNKNOWN: usize = 64;
/// Max fields named in the header, and max length of each.
const MAX_NAMED: usize = 16;
const MAX_NAME: usize = 64;

/// The fields that a kind of request supports: those of the OpenAPI document.
pub struct Supported {
    names: Vec<String>,
}

impl Supported {
    /// The fields of these parts of a request.
    pub fn of(parts: &[RefOr<Schema>]) -> Self {
        let names = parts.iter().flat_map(|part| match part {
            RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
            _ => Vec::new(),
        });
        let aliases = ALIASES.map(|(alias, _)| alias.to_owned());
        Self {
            names: names.chain(aliases).collect(),
        }
    }

    /// Checks the names of all fields of a request. Returns those that are unknown and have no effect.
    ///
    /// # Errors
    /// If a field would change the result and is not supported, its name is misspelt, or too many are unknown.
    pub fn check(&self, body: &Map<String, Value>) -> Result<Vec<String>> {
        let mut unknown = Vec::new();
        for (name, value) in body {
            if value.is_null() || self.has(name) || IGNORED.contains(&name.as_str()) {
                continue;
            }
            if let Some((_, neutral)) = REFUSED.iter().find(|(refused, _)| refused == name) {
                let value = value.to_string();
                if !neutral.contains(&value.as_str()) {
                    let message = format!("{name} is not supported; omit it");
                    return Err(ApiError::unsupported(name, message));
                }
                continue;
            }
            if unknown.len() == MAX_UNKNOWN {
                return Err(ApiError::too_many_unknown_fields(MAX_UNKNOWN));
            }
            let synonym = SYNONYMS.iter().find(|(synonym, _)| synonym == name);
            let meant = match synonym {
                Some((_, own)) => self.has(own).then_some(*own),
                None => self.nearest(name),
            };
            match meant.filter(|own| synonym.is_none() || !body.contains_key(*own)) {
                Some(meant) => return Err(ApiError::unknown_field(name, meant)),
                None => unknown.push(name.clone()),
            }
        }
        check_nested(body)?;
        Ok(unknown)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The supported or refused field that `name` is likely meant to be.
    fn nearest(&self, name: &str) -> Option<&str> {
        if FOREIGN.contains(&name) {
            return None;
        }
        let refused = REFUSED.iter().map(|(name, _)| *name);
        let all = self.names.iter().map(String::as_str).chain(refused);
        let near = nearest(name, all.map(|known| (known, known)));
        near.first().copied()
    }
}

/// Refuses misspelt fields of the objects in a request.
fn check_nested(body: &Map<String, Value>) -> Result<()> {
    for (object, known) in NESTED {
        let fields = body.get(object).and_then(Value::as_object);
        for name in fields.into_iter().flat_map(Map::keys).take(MAX_UNKNOWN) {
            let near = nearest(name, known.iter().map(|known| (*known, *known)));
            if let Some(meant) = near.first().filter(|meant| name != *meant) {
                let param = format!("{object}.{name}");
                return Err(ApiError::unknown_field(&param, meant));
            }
        }
    }
    Ok(())
}

/// The other name of a supported field, if it has one.
pub fn alias(name: &str) -> Option<&'static str> {
    let (alias, _) = ALIASES.iter().find(|(_, documented)| *documented == name)?;
    Some(alias)
}

/// The names of ignored fields as the value of a header; `None` if there are none.
pub fn listed(unknown: &[String]) -> Option<String> {
    let is_plain = |name: &&String| {
        (1..=MAX_NAME).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_graphic() && c != ',')
    };
    let mut names: Vec<&str> = unknown
        .iter()
        .filter(is_plain)
        .take(MAX_NAMED)
        .map(String::as_str)
        .collect();
    if names.len() < unknown.len() {
        names.push("...");
    }
    (!names.is_empty()).then(|| names.join(", "))
}
