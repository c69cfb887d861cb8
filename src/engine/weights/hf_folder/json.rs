//! Reads the small files of a model folder, which Python programs write.

use crate::engine::weights::lfs::pointer_fault;
use crate::engine::{Error, Result};
use crate::error_text;
use serde_json::Value;
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

/// Max bytes of a configuration or a template.
const MAX_SMALL_FILE: u64 = 32 << 20;

/// The text of a small file; `None` if there is no such file.
///
/// # Errors
///
/// As [`read_text`].
pub fn read_text_file(path: &Path) -> Result<Option<String>> {
    read_text(path, MAX_SMALL_FILE)
}

/// The text of a file of at most `max` bytes, without a byte order mark; `None` if there is no such file.
///
/// # Errors
///
/// If it is not a regular file, larger than `max`, not UTF-8, or a Git LFS pointer.
pub fn read_text(path: &Path, max: u64) -> Result<Option<String>> {
    if !path.exists() {
        return Ok(None);
    }
    if !path.is_file() {
        return Err(Error::file(path, "not a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut text = String::new();
    file.take(max + 1)
        .read_to_string(&mut text)
        .map_err(|e| Error::io(path, e))?;
    if text.len() as u64 > max {
        return Err(Error::file(path, format!("larger than {} MB", max >> 20)));
    }
    if let Some(fault) = pointer_fault(text.as_bytes()) {
        return Err(Error::file(path, fault));
    }
    if text.starts_with('\u{FEFF}') {
        text.remove(0);
    }
    Ok(Some(text))
}

/// The contents of a small JSON file; `None` if there is no such file.
///
/// # Errors
///
/// As [`read_text`], or if it is not JSON.
pub fn read_json(path: &Path) -> Result<Option<Value>> {
    let Some(text) = read_text_file(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&standard_json(&text))
        .map(Some)
        .map_err(|error| Error::file(path, error_text::json(&error)))
}

/// Turns `NaN`, `Infinity` and `-Infinity`, which Python writes unquoted, into strings. If a number is required they
/// are still rejected, with a message that names them.
pub fn standard_json(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let (mut out, mut done, mut at) = (String::new(), 0, 0);
    let mut in_string = false;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b'N' | b'-' | b'I' if !in_string => {
                let here = &bytes[at..];
                if let Some(word) = WORDS.iter().find(|word| here.starts_with(word.as_bytes())) {
                    out.push_str(&text[done..at]);
                    out.extend(["\"", word, "\""]);
                    at += word.len();
                    done = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn python_only_numbers_become_strings() {
        let text = r#"{"a": [0.0, Infinity, -Infinity], "NaN \" NaN": NaN, "b": -1}"#;
        let value: Value = serde_json::from_str(&standard_json(text)).unwrap();
        assert_eq!(
            value,
            json!({"a": [0.0, "Infinity", "-Infinity"], "NaN \" NaN": "NaN", "b": -1})
        );
    }

    proptest! {
        /// Standard JSON is unchanged, and no input panics.
        #[test]
        fn standard_json_is_unchanged(
            words in prop::collection::vec("NaN|Infinity|[a\"\\\\é]", 0..9),
            any in "[NaIfinity\"\\\\-é]{0,30}",
        ) {
            let text = json!(words).to_string();
            prop_assert_eq!(standard_json(&text), text.as_str());
            standard_json(&any);
        }
    }
}
