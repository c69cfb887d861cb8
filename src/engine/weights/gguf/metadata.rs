//! Reads metadata by key and type.

use super::cursor::{Cursor, Fault};
use super::value::{Value, ValueType};
use std::collections::HashMap;
use std::ops::Range;

/// The metadata of a file. A missing key is `None`; a value of an unexpected type is an error.
#[derive(Clone, Copy)]
pub struct Metadata<'a> {
    entries: &'a HashMap<String, Value>,
    bytes: &'a [u8],
}

impl<'a> Metadata<'a> {
    pub fn new(entries: &'a HashMap<String, Value>, bytes: &'a [u8]) -> Self {
        Self { entries, bytes }
    }

    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// A string.
    pub fn string(&self, key: &str) -> Result<Option<&'a str>, Fault> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::String(range)) => std::str::from_utf8(&self.bytes[range.clone()])
                .map(Some)
                .map_err(|_| format!("{key} is not UTF-8")),
            Some(_) => Err(wrong_type(key, "a string")),
        }
    }

    /// A count. If it is an array with one value per layer, all must be equal.
    pub fn count(&self, key: &str) -> Result<Option<usize>, Fault> {
        let Some(value) = self.entries.get(key) else {
            return Ok(None);
        };
        if let Value::Array {
            kind: ValueType::U32 | ValueType::I32,
            ..
        } = value
        {
            let all = self.integers(key)?.unwrap_or_default();
            return match all.first() {
                Some(&first) if first >= 0 && all.iter().all(|&n| n == first) => {
                    Ok(Some(first as usize))
                }
                _ => Err(format!(
                    "{key} differs from layer to layer, which skiplens cannot run"
                )),
            };
        }
        let count = value.as_unsigned().and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| wrong_type(key, "a count"))
    }

    /// A token id.
    pub fn token_id(&self, key: &str) -> Result<Option<u32>, Fault> {
        let Some(value) = self.entries.get(key) else {
            return Ok(None);
        };
        // Some converters write -1 for "none".
        if matches!(value, Value::Signed(n) if *n < 0)
            || value.as_unsigned() == Some(u32::MAX.into())
        {
            return Ok(None);
        }
        let id = value.as_unsigned().and_then(|n| u32::try_from(n).ok());
        id.map(Some).ok_or_else(|| wrong_type(key, "a token id"))
    }

    /// A finite number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, Fault> {
        let Some(value) = self.entries.get(key) else {
            return Ok(None);
        };
        let number = value.as_float().filter(|x| x.is_finite());
        number.map(Some).ok_or_else(|| wrong_type(key, "a number"))
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, Fault> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(wrong_type(key, "true or false")),
        }
    }

    /// A list of strings. Invalid UTF-8 is replaced: some vocabularies contain such tokens, which cannot be typed
    /// anyway.
    pub fn strings(&self, key: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some((len, range)) = self.array(key, &[ValueType::String])? else {
            return Ok(None);
        };
        let mut cursor = Cursor::new(&self.bytes[range.clone()]);
        let elements = &self.bytes[range];
        let mut out = Vec::with_capacity(len);
        for _ in 0..len {
            out.push(String::from_utf8_lossy(&elements[cursor.string(key)?]).into_owned());
        }
        Ok(Some(out))
    }

    /// A list of 32-bit floats.
    pub fn floats(&self, key: &str) -> Result<Option<Vec<f32>>, Fault> {
        let Some((_, range)) = self.array(key, &[ValueType::F32])? else {
            return Ok(None);
        };
        let words = self.bytes[range].as_chunks::<4>().0;
        Ok(Some(
            words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
        ))
    }

    /// A list of 32-bit integers.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i32>>, Fault> {
        let Some((_, range)) = self.array(key, &[ValueType::I32, ValueType::U32])? else {
            return Ok(None);
        };
        let words = self.bytes[range].as_chunks::<4>().0;
        Ok(Some(
            words.iter().map(|&word| i32::from_le_bytes(word)).collect(),
        ))
    }

    fn array(
        &self,
        key: &str,
        kinds: &[ValueType],
    ) -> Result<Option<(usize, Range<usize>)>, Fault> {
        match self.entries.get(key) {
            None => Ok(None),
            Some(Value::Array { kind, len, range }) if kinds.contains(kind) => {
                Ok(Some((*len, range.clone())))
            }
            Some(_) => Err(wrong_type(key, "a list of the expected type")),
        }
    }
}

fn wrong_type(key: &str, expected: &str) -> Fault {
    format!("metadata {key} is not {expected}")
}
