//! Bodies of requests. Fields that are not known are ignored, as clients send many.

use crate::server::error::{ApiError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A body as JSON.
///
/// # Errors
/// Where it is none, or no object.
pub fn json(bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|fault| ApiError::invalid(format!("the body is no JSON: {fault}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(ApiError::invalid("the body is no JSON object")),
    }
}

/// The fields of `value` that a type has.
///
/// # Errors
/// On the first that it cannot hold, which the error names.
pub fn fields<T: DeserializeOwned>(value: &Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|fault| {
        let path = fault.path().to_string();
        let message = format!("{path}: {}", fault.inner());
        match path.as_str() {
            // The object itself: a field is missing.
            "." => ApiError::invalid(fault.inner().to_string()),
            _ => ApiError::invalid(message).of(&path),
        }
    })
}
