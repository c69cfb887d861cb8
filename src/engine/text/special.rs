//! Finding control tokens in text.

use crate::engine::Result;
use std::collections::HashMap;

/// The control tokens of a vocabulary by name.
pub struct SpecialTokens {
    ids: HashMap<String, u32>,
    /// Names by their first byte, longest first, so that the longest match wins.
    by_first: HashMap<u8, Vec<(String, u32)>>,
}

impl SpecialTokens {
    pub fn new<'a>(tokens: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let ids: HashMap<String, u32> = tokens
            .filter(|(name, _)| !name.is_empty())
            .map(own)
            .collect();
        let mut by_first: HashMap<u8, Vec<(String, u32)>> = HashMap::new();
        for (name, &id) in &ids {
            by_first
                .entry(name.as_bytes()[0])
                .or_default()
                .push((name.clone(), id));
        }
        by_first
            .values_mut()
            .for_each(|names| names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len())));
        Self { ids, by_first }
    }

    pub fn id(&self, name: &str) -> Option<u32> {
        self.ids.get(name).copied()
    }

    /// The names of all control tokens.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.ids.keys().map(String::as_str)
    }

    /// The control token that `text` begins with.
    fn at(&self, text: &[u8]) -> Option<(usize, u32)> {
        let names = self.by_first.get(text.first()?)?;
        names
            .iter()
            .find(|(name, _)| text.starts_with(name.as_bytes()))
            .map(|(name, id)| (name.len(), *id))
    }

    /// Call `each` with the text between control tokens (`Ok`) and with the tokens (`Err`), in order.
    pub fn split<'t>(
        &self,
        text: &'t str,
        mut each: impl FnMut(Result<&'t str, u32>) -> Result<()>,
    ) -> Result<()> {
        let bytes = text.as_bytes();
        let (mut start, mut at) = (0, 0);
        while at < bytes.len() {
            // A name is UTF-8, so it matches at character boundaries only.
            let Some((length, id)) = self.at(&bytes[at..]) else {
                at += 1;
                continue;
            };
            each(Ok(&text[start..at]))?;
            each(Err(id))?;
            at += length;
            start = at;
        }
        each(Ok(&text[start..]))
    }
}

fn own((name, id): (&str, u32)) -> (String, u32) {
    (name.to_owned(), id)
}
