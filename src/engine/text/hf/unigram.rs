//! SentencePiece's unigram model: finds the segmentation of a text into tokens with the best total score.

use std::collections::HashMap;

/// Penalty of a character without a token, relative to the worst score.
const UNKNOWN_PENALTY: f64 = 10.0;

/// A vocabulary with scores.
pub struct Unigram {
    ids: HashMap<String, u32>,
    /// Tokens with their ids, sorted by their bytes.
    sorted: Vec<(String, u32)>,
    scores: Vec<f64>,
    worst: f64,
    unknown: Option<u32>,
    byte_fallback: bool,
}

/// The best segmentation of the text up to some position.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    id: u32,
    /// Where its last token starts; `None` if no segmentation ends here.
    start: Option<usize>,
}

impl Unigram {
    /// Builds a vocabulary; `unknown` is the id of the token for unknown text.
    pub fn new(
        vocab: Vec<(String, f64)>,
        unknown: Option<usize>,
        byte_fallback: bool,
    ) -> Result<Self, String> {
        if unknown.is_some_and(|id| id >= vocab.len()) {
            return Err("its unknown token is outside of the vocabulary".into());
        }
        let scores: Vec<f64> = vocab.iter().map(|(_, score)| *score).collect();
        let ids: HashMap<String, u32> = vocab.into_iter().map(|(text, _)| text).zip(0..).collect();
        let mut sorted: Vec<(String, u32)> =
            ids.iter().map(|(text, id)| (text.clone(), *id)).collect();
        sorted.sort_unstable();
        Ok(Self {
            worst: scores.iter().copied().fold(f64::INFINITY, f64::min),
            unknown: unknown.map(|id| id as u32),
            ids,
            sorted,
            scores,
            byte_fallback,
        })
    }

    /// The id of this token.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Number of tokens, including duplicates.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Appends the ids of a text.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        let best = self.best_paths(text)?;
        let mut parts: Vec<(usize, usize)> = Vec::new();
        let (mut end, mut after_unknown) = (text.len(), false);
        while let Some(start) = best[end].start.filter(|_| end > 0) {
            // Adjacent unknown characters become one token.
            let unknown = Some(best[end].id) == self.unknown;
            match parts.last_mut() {
                Some(part) if unknown && after_unknown => part.0 = start,
                _ => parts.push((start, end)),
            }
            after_unknown = unknown;
            end = start;
        }
        for &(start, end) in parts.iter().rev() {
            self.push(&text[start..end], ids)?;
        }
        Ok(())
    }

    fn best_paths(&self, text: &str) -> Result<Vec<Best>, String> {
        let nothing = Best {
            score: 0.0,
            id: 0,
            start: None,
        };
        let mut best = vec![nothing; text.len() + 1];
        for (start, c) in text.char_indices() {
            let so_far = best[start].score;
            let single = start + c.len_utf8();
            let mut has_single = false;
            let mut offer = |end: usize, score: f64, id: u32| {
                let candidate = Best {
                    score: so_far + score,
                    id,
                    start: Some(start),
                };
                if best[end].start.is_none() || candidate.score > best[end].score {
                    best[end] = candidate;
                }
            };
            self.prefixes(&text.as_bytes()[start..], |length, id| {
                has_single |= start + length == single;
                offer(start + length, self.scores[id as usize], id);
            });
            if !has_single {
                let unknown = self.unknown.ok_or("it has no token for unknown text")?;
                offer(single, self.worst - UNKNOWN_PENALTY, unknown);
            }
        }
        Ok(best)
    }

    /// Calls `each` with the lengths and ids of the tokens that are prefixes of a text, shortest first.
    fn prefixes(&self, text: &[u8], mut each: impl FnMut(usize, u32)) {
        let mut range = &self.sorted[..];
        for (at, &byte) in text.iter().enumerate() {
            let here = |entry: &(String, u32)| entry.0.as_bytes().get(at).copied();
            let start = range.partition_point(|entry| here(entry) < Some(byte));
            let end = range.partition_point(|entry| here(entry) <= Some(byte));
            range = &range[start..end];
            match range.first() {
                None => return,
                Some((token, id)) if token.len() == at + 1 => each(at + 1, *id),
                Some(_) => {}
            }
        }
    }

    /// Appends the token of a part, else its bytes, else the unknown token.
    fn push(&self, part: &str, ids: &mut Vec<u32>) -> Result<(), String> {
        if let Some(id) = self.id(part) {
            ids.push(id);
            return Ok(());
        }
        let bytes = || -> Option<Vec<u32>> {
            part.bytes()
                .map(|byte| self.id(&format!("<0x{byte:02X}>")))
                .collect()
        };
        match self.byte_fallback.then(bytes).flatten() {
            Some(bytes) => ids.extend(bytes),
            None => ids.push(self.unknown.ok_or("it has no token for unknown text")?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::Model;

    proptest! {
        /// Encoding matches the library for any vocabulary and text.
        #[test]
        fn encoding_matches_the_library(
            vocab in prop::collection::vec(("[abé]{1,4}|<0x6[1-4]>", -9.0f64..0.0), 1..30),
            unknown in 0usize..30,
            byte_fallback: bool,
            text in "[abcdé]{1,20}",
        ) {
            let mut vocab = vocab;
            vocab.insert(0, ("<unk>".into(), 0.0));
            let unknown = unknown % vocab.len();
            let library = tokenizers::models::unigram::Unigram::from(vocab.clone(), Some(unknown), byte_fallback).unwrap();
            let ours = Unigram::new(vocab, Some(unknown), byte_fallback).unwrap();
            let wanted: Vec<u32> = library.tokenize(&text).unwrap().iter().map(|token| token.id).collect();
            let mut ids = Vec::new();
            ours.encode(&text, &mut ids).unwrap();
            prop_assert_eq!(ids, wanted);
        }
    }

    #[test]
    fn unknown_text_is_an_error_or_the_unknown_token() {
        let vocab = || vec![("a".to_owned(), -1.0), ("<unk>".to_owned(), -2.0)];
        let mut ids = Vec::new();
        let strict = Unigram::new(vocab(), None, true).unwrap();
        assert!(strict.encode("ab", &mut ids).is_err());
        Unigram::new(vocab(), Some(1), true)
            .unwrap()
            .encode("abba", &mut ids)
            .unwrap();
        assert_eq!(ids, [0, 1, 0]);
        assert!(Unigram::new(vocab(), Some(2), true).is_err());
        assert!(
            Unigram::new(Vec::new(), None, false)
                .unwrap()
                .encode("", &mut ids)
                .is_ok()
        );
    }
}
