//! Parses request bodies. Unknown fields are ignored, since clients send many.

use crate::server::error::{ApiError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

/// A body as JSON.
///
/// # Errors
/// If it is not JSON, or not an object.
pub fn json(bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|fault| ApiError::invalid(format!("the body is not valid JSON: {fault}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(ApiError::invalid("the body is not a JSON object")),
    }
}

/// Deserialises `value` into a type, ignoring other fields.
///
/// # Errors
/// If a field is missing or has a wrong type; the error names the first one, and what it takes.
pub fn fields<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let path = fault.path().to_string();
        let found = find(value, fault.path());
        let message = explain(&path, found, &fault.inner().to_string());
        match path.as_str() {
            // The path of the object itself: a field is missing.
            "." => ApiError::invalid(message),
            _ => ApiError::invalid(message).of(&path),
        }
    })
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
    let is = || {
        found.map_or_else(
            || path.to_owned(),
            |value| format!("{path} is {}", shown(value)),
        )
    };
    if let Some(missing) = fault.strip_prefix("missing field ") {
        let place = if path == "." {
            String::new()
        } else {
            format!(" of {path}")
        };
        return format!("the field {}{place} is missing", missing.replace('`', ""));
    }
    if fault.starts_with("unknown variant ")
        && let Some((_, names)) = fault.rsplit_once(", expected ")
    {
        let names = names.trim_start_matches("one of ").replace('`', "");
        return format!("{}; it may be {names}", is());
    }
    if fault.starts_with("invalid ")
        && let Some((_, expected)) = fault.rsplit_once(", expected ")
    {
        return format!("{}; it must be {}", is(), in_json(expected));
    }
    // A message of our own.
    format!("{}; {fault}", is())
}

/// What serde expects, in JSON's words.
fn in_json(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u32" => "a whole number from 0 to 4294967295",
        "u16" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" | "a JSON number" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    }
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
