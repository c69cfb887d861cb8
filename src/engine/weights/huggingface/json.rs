//! Small files of a model folder.

use crate::engine::{Error, Result};
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Most bytes of a configuration or a template.
const MAX_SMALL_FILE: u64 = 32 << 20;

/// The text of a small file; none if there is no such file.
pub fn read_text_file(path: &Path) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    if !path.is_file() {
        return Err(Error::file(path, "not a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut text = String::new();
    file.take(MAX_SMALL_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|e| Error::io(path, e))?;
    if text.len() as u64 > MAX_SMALL_FILE {
        return Err(Error::file(
            path,
            format!("larger than {} MB", MAX_SMALL_FILE >> 20),
        ));
    }
    Ok(Some(text))
}

/// The contents of a small JSON file; none if there is no such file.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = read_text_file(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::file(path, format!("damaged JSON: {e}")))
}
