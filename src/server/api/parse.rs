//! Parses request bodies.

use super::fields::{self, Supported};
use crate::error_text;
use crate::server::error::{ApiError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// A body as JSON.
///
/// # Errors
/// If it is not JSON, or not an object.
pub fn json(bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes).map_err(|fault| {
        ApiError::invalid(format!(
            "the body of the request: {}",
            error_text::json(&fault)
        ))
    })?;
    match value.is_object() {
        true => Ok(value),
        false => Err(ApiError::invalid("the body is not a JSON object")),
    }
}

/// The names of fields in `body` that are unknown and have no effect, sorted as they come.
///
/// # Errors
/// As [`Supported::check`].
pub fn unknown_fields(body: &Value, supported: &Supported) -> Result<Vec<String>> {
    body.as_object()
        .map_or(Ok(Vec::new()), |body| supported.check(body))
}

/// Deserialises `value` into a type, ignoring other fields.
///
/// # Errors
/// If a field is missing, occurs twice or has a wrong type; the error names the first one, and what it takes.
pub fn fields<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let path = fault.path().to_string();
        let inner = fault.inner().to_string();
        let message = explain(&path, find(value, fault.path()), &inner);
        // For a missing or duplicate field the path is that of its object, and "." is the whole body.
        let field = missing(&inner).or_else(|| duplicate(&inner));
        if inner.starts_with("unknown field ") {
            return ApiError::unknown_nested_field(&path, message);
        }
        let error = ApiError::invalid(message);
        match (field, path.as_str()) {
            (Some(name), ".") => error.of(&name),
            (Some(name), path) => error.of(&format!("{path}.{name}")),
            (None, ".") => error,
            (None, path) => error.of(path),
        }
    })
}

/// The missing field that serde's message is about.
fn missing(fault: &str) -> Option<String> {
    let name = fault.strip_prefix("missing field ")?;
    Some(name.replace('`', ""))
}

/// The field that serde found twice.
fn duplicate(fault: &str) -> Option<String> {
    let name = fault.strip_prefix("duplicate field ")?;
    Some(name.replace('`', ""))
}

/// The value at a path.
fn find<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

/// Says what is wrong with the value `found` at `path`, in JSON's words. `fault` is serde's message, which may name types
/// of Rust.
fn explain(path: &str, found: Option<&Value>, fault: &str) -> String {
    let subject = if path == "." { "the body" } else { path };
    if let Some(name) = missing(fault) {
        let place = if path == "." {
            String::new()
        } else {
            format!(" of {path}")
        };
        return format!("the field {name}{place} is missing");
    }
    if let Some(name) = duplicate(fault) {
        // A name cannot occur twice in a parsed object, so the other is an alias.
        return match fields::alias(&name) {
            Some(alias) => format!("{name} and {alias} are the same field; omit one of them"),
            None => error_text::data(fault),
        };
    }
    error_text::field(subject, found.map(shown).as_deref(), fault)
}

/// A value as an error shows it.
fn shown(value: &Value) -> String {
    const MAX: usize = 60;
    match value {
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        value => {
            let text = value.to_string();
            let mut short: String = text.chars().take(MAX).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short
        }
    }
}
