//! Decodes tokens of a `tokenizer.json` to text.

use crate::engine::text::bytes;
use serde_json::Value;

/// Max number of replacements of a decoder, and max bytes of each.
const MAX_REPLACEMENTS: usize = 8;
const MAX_TEXT: usize = 64;

/// The effect of a decoder on a token.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoding {
    byte_level: bool,
    /// Strings and their replacements, in order.
    replacements: Vec<(String, String)>,
    /// Whether decoding removes the leading space that encoding adds.
    pub drops_leading_space: bool,
}

impl Decoding {
    /// Parses the `decoder`; the default is SentencePiece's.
    pub fn read(decoder: &Value) -> Self {
        let list = decoder.get("decoders").and_then(Value::as_array);
        let parts = list.map_or_else(|| vec![decoder], |list| list.iter().collect());
        let mut decoding = Self::default();
        for part in parts {
            decoding.add(part);
        }
        if !decoding.byte_level && decoding.replacements.is_empty() {
            decoding.replacements.push(("▁".into(), " ".into()));
        }
        decoding
    }

    fn add(&mut self, part: &Value) {
        let text = |name: &str| part.get(name).and_then(Value::as_str);
        match text("type") {
            Some("ByteLevel") => self.byte_level = true,
            Some("Strip") => {
                self.drops_leading_space |= part.get("start").and_then(Value::as_u64) > Some(0);
            }
            Some("Metaspace") => {
                self.replace(text("replacement"), Some(" "));
                self.drops_leading_space |= text("prepend_scheme") != Some("never")
                    && part.get("add_prefix_space").and_then(Value::as_bool) != Some(false);
            }
            Some("Replace") => {
                let wanted = part
                    .get("pattern")
                    .and_then(|pattern| pattern.get("String"));
                self.replace(wanted.and_then(Value::as_str), text("content"));
            }
            _ => {}
        }
    }

    fn replace(&mut self, wanted: Option<&str>, content: Option<&str>) {
        if let (Some(wanted @ [_, ..]), Some(content)) = (wanted.map(str::as_bytes), content)
            && wanted.len().max(content.len()) <= MAX_TEXT
            && self.replacements.len() < MAX_REPLACEMENTS
        {
            let wanted = String::from_utf8_lossy(wanted).into_owned();
            self.replacements.push((wanted, content.to_owned()));
        }
    }

    /// The bytes that a token adds to a text.
    pub fn bytes(&self, token: &str) -> Vec<u8> {
        if self.byte_level {
            return bytes::byte_level(token);
        }
        if let Some(byte) = bytes::byte_token(token) {
            return vec![byte];
        }
        let mut text = token.to_owned();
        for (wanted, content) in &self.replacements {
            text = text.replace(wanted, content);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn common_decoders_are_parsed() {
        let llama = Decoding::read(&json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}));
        assert!(llama.drops_leading_space);
        assert_eq!(
            (llama.bytes("▁the"), llama.bytes("<0x0A>")),
            (b" the".to_vec(), b"\n".to_vec())
        );
        let bytes = Decoding::read(&json!({"type": "ByteLevel", "add_prefix_space": true}));
        assert!(!bytes.drops_leading_space);
        assert_eq!(bytes.bytes("Ġthe"), b" the");
        let other = Decoding::read(
            &json!({"type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}),
        );
        assert!(other.drops_leading_space);
        assert_eq!(other.bytes("_a▁"), " a▁".as_bytes());
        let never = json!({"type": "Metaspace", "replacement": "▁", "add_prefix_space": false});
        assert!(!Decoding::read(&never).drops_leading_space);
        assert_eq!(Decoding::read(&Value::Null).bytes("▁a"), b" a");
    }
}
