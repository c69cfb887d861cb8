//! Which fields of a request are known, and what happens to the others.
//!
//! A field is supported, ignored because it cannot change the result, refused because it would, or unknown. Clients send
//! fields of other servers, so unknown ones are accepted and named in a header of the response, unless they look like a
//! misspelt name of a field that matters.

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
    /// Supported and refused names, each in its [`plain`] form and as it is.
    suggestions: Vec<(String, String)>,
}

impl Supported {
    /// The fields of these parts of a request.
    pub fn of(parts: &[RefOr<Schema>]) -> Self {
        let names = parts.iter().flat_map(|part| match part {
            RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
            _ => Vec::new(),
        });
        let aliases = ALIASES.map(|(alias, _)| alias.to_owned());
        let names: Vec<String> = names.chain(aliases).collect();
        let refused = REFUSED.iter().map(|(name, _)| *name);
        let all = names.iter().map(String::as_str).chain(refused);
        let suggestions = all.map(|name| (plain(name), name.to_owned())).collect();
        Self { names, suggestions }
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
        Ok(unknown)
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// The supported or refused field that `name` is likely meant to be.
    fn nearest(&self, name: &str) -> Option<&str> {
        if FOREIGN.contains(&name) || name.len() > MAX_NAME {
            return None;
        }
        let name = plain(name);
        self.suggestions
            .iter()
            .filter_map(|(plain, known)| {
                let distance = strsim::osa_distance(&name, plain);
                // A quarter of the letters may be wrong.
                (distance <= (known.len() / 4).min(2)).then_some((distance, known.as_str()))
            })
            .min()
            .map(|(_, known)| known)
    }
}

/// The other name of a supported field, if it has one.
pub fn alias(name: &str) -> Option<&'static str> {
    let (alias, _) = ALIASES.iter().find(|(_, documented)| *documented == name)?;
    Some(alias)
}

/// A name in lower case without separators, so that `maxTokens` and `max-tokens` match `max_tokens`.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | ' ' | '.'));
    letters.flat_map(char::to_lowercase).collect()
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
