//! SentencePiece's precompiled character map: a list of replacements, indexed by a double-array trie. Both come from a
//! file, so every index is checked.

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

/// Max bytes of a map; NFKC's has 250 kB.
const MAX_SIZE: usize = 4 << 20;
/// Max bytes of a replacement.
const MAX_REPLACEMENT: usize = 256;

/// A character map.
pub struct Charsmap {
    trie: Vec<u32>,
    /// Replacements, each terminated by a zero byte.
    replacements: String,
}

impl Charsmap {
    /// Parses the base64 of `precompiled_charsmap`: size of the trie (32 bits), trie, replacements.
    pub fn read(value: &Value) -> Result<Self, String> {
        const FAULT: &str = "its precompiled character map is damaged";
        let text = value.get("precompiled_charsmap").and_then(Value::as_str);
        let bytes = text
            .filter(|text| text.len() <= MAX_SIZE)
            .and_then(decode_base64)
            .ok_or(FAULT)?;
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(FAULT)?;
        let length = u32::from_le_bytes(*length) as usize / 4 * 4;
        let (trie, replacements) = rest.split_at_checked(length).ok_or(FAULT)?;
        Ok(Self {
            trie: trie
                .as_chunks::<4>()
                .0
                .iter()
                .map(|unit| u32::from_le_bytes(*unit))
                .collect(),
            replacements: String::from_utf8(replacements.to_vec()).map_err(|_| FAULT)?,
        })
    }

    /// Calls `each` with the end of every part of the text, and its replacement if there is one. As in SentencePiece,
    /// grapheme clusters of less than six bytes are first looked up as a whole.
    pub fn replacements<'m>(&'m self, text: &str, mut each: impl FnMut(usize, Option<&'m str>)) {
        for (start, cluster) in text.grapheme_indices(true) {
            let whole = if cluster.len() < 6 {
                self.lookup(cluster)
            } else {
                None
            };
            if whole.is_some() {
                each(start + cluster.len(), whole);
                continue;
            }
            for (at, c) in cluster.char_indices() {
                let end = at + c.len_utf8();
                each(start + end, self.lookup(&cluster[at..end]));
            }
        }
    }

    /// The replacement of the shortest prefix that has one.
    fn lookup(&self, text: &str) -> Option<&str> {
        let unit = |at: usize| self.trie.get(at).copied();
        let offset = |unit: u32| ((unit >> 10) as usize) << ((unit & (1 << 9)) >> 6);
        let mut at = offset(unit(0)?);
        for &byte in text.as_bytes().iter().take_while(|byte| **byte != 0) {
            at ^= usize::from(byte);
            let node = unit(at)?;
            if node & ((1 << 31) | 0xFF) != u32::from(byte) {
                return None;
            }
            at ^= offset(node);
            if node >> 8 & 1 == 1 {
                let start = (unit(at)? & ((1 << 31) - 1)) as usize;
                let rest = self.replacements.get(start..)?;
                let found = &rest[..rest.find('\0').unwrap_or(rest.len())];
                return (found.len() <= MAX_REPLACEMENT).then_some(found);
            }
        }
        None
    }
}

/// Decodes base64.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes().map(|digit| {
        Some(match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    });
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let bits = group
            .iter()
            .fold(0u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode_base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group
                .iter()
                .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            let bits = bits << (8 * (3 - group.len()));
            for nth in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * nth) & 63) as usize];
                text.push(if nth <= group.len() {
                    char::from(digit)
                } else {
                    '='
                });
            }
        }
        text
    }

    fn map(trie: &[u32], replacements: &[u8]) -> Result<Charsmap, String> {
        let mut bytes = (trie.len() as u32 * 4).to_le_bytes().to_vec();
        bytes.extend(trie.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(replacements);
        Charsmap::read(&serde_json::json!({"precompiled_charsmap": encode_base64(&bytes)}))
    }

    /// The root leads to unit 256, `a` leads from there to its node, and the node's leaf holds the replacement.
    #[test]
    fn keys_are_found() {
        let mut trie = vec![0; 512];
        let node = 256 ^ u32::from(b'a');
        trie[0] = 256 << 10;
        trie[node as usize] = u32::from(b'a') | 1 << 8 | (300 ^ node) << 10;
        trie[300] = 2 | 1 << 31;
        let map = map(&trie, b"x\0\xC3\xA9\0").unwrap();
        let mut parts = Vec::new();
        map.replacements("ba", |end, other| parts.push((end, other)));
        assert_eq!(parts, [(1, None), (2, Some("é"))]);
    }

    #[test]
    fn damaged_maps_are_rejected() {
        let read = |text: &str| {
            Charsmap::read(&serde_json::json!({"precompiled_charsmap": text})).is_err()
        };
        assert!(read("") && read("!!!!") && read("AAA"));
        assert!(
            read(&encode_base64(&u32::MAX.to_le_bytes())),
            "the trie is longer than the data"
        );
        assert!(map(&[0], b"\xFF").is_err());
    }

    proptest! {
        #[test]
        fn base64_round_trips(bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(decode_base64(&encode_base64(&bytes)), Some(bytes));
        }

        #[test]
        fn lookup_covers_the_text_for_any_trie(
            trie in prop::collection::vec(any::<u32>(), 0..600),
            replacements in any::<String>(),
            text in any::<String>(),
        ) {
            let map = map(&trie, replacements.as_bytes()).unwrap();
            let mut done = 0;
            map.replacements(&text, |end, _| {
                assert!(end > done);
                done = end;
            });
            prop_assert_eq!(done, text.len());
        }
    }
}
