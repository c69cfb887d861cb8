//! Parses request bodies. Unknown fields are ignored, since clients send many.

use crate::server::error::{ApiError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

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
/// If a field has a wrong type; the error names the first one.
pub fn fields<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let path = fault.path().to_string();
        let message = format!("{path}: {}", fault.inner());
        match path.as_str() {
            // The path of the object itself: a field is missing.
            "." => ApiError::invalid(fault.inner().to_string()),
            _ => ApiError::invalid(message).of(&path),
        }
    })
}
