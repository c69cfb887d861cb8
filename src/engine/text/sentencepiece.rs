//! SentencePiece BPE as in Llama 1 and 2: adjacent symbols merge, best score first, as long as they form a token.
//! Characters without a token become bytes.

use super::added::{AddedTokens, Part, Phase};
use super::bytes::byte_token;
use super::hf::{spells_words_apart, words};
use super::sink::Sink;
use super::spec::{GgufVocabulary, TokenKind};
use super::tokenizer::Stretch;
use crate::engine::Result;
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// The character that SentencePiece writes for a space.
pub const SPACE: &str = "▁";

/// An encoder over a vocabulary with scores.
pub struct SentencePiece {
    /// Tokens that merging may produce.
    tokens: HashMap<String, Token>,
    /// The token of each byte.
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    add_space_prefix: bool,
    /// Whether no token spans words, so that they can be merged one by one.
    word_by_word: bool,
}

#[derive(Clone, Copy)]
struct Token {
    id: u32,
    score: f32,
}

/// A part of the text: initially a character, finally a token. Linked to its neighbours, so that merging is cheap.
struct Symbol {
    start: usize,
    /// 0 after it has been merged into the previous one.
    len: usize,
    prev: Option<usize>,
    next: Option<usize>,
}

/// Two adjacent symbols that form a token.
struct Pair {
    left: usize,
    right: usize,
    /// The length of both when the pair was queued. If it has changed, the pair is stale.
    len: usize,
    score: f32,
}

impl SentencePiece {
    pub fn new(vocabulary: &GgufVocabulary, scores: &[f32], add_space_prefix: bool) -> Self {
        let mut encoder = Self {
            tokens: HashMap::new(),
            bytes: [None; 256],
            unknown: None,
            add_space_prefix,
            word_by_word: false,
        };
        for (((text, &kind), &score), id) in vocabulary
            .tokens
            .iter()
            .zip(&vocabulary.kinds)
            .zip(scores)
            .zip(0u32..)
        {
            encoder.add(text, kind, Token { id, score });
        }
        encoder.word_by_word = spells_words_apart(encoder.tokens.keys().map(String::as_str));
        encoder
    }

    fn add(&mut self, text: &str, kind: TokenKind, token: Token) {
        match kind {
            TokenKind::Byte => {
                if let Some(byte) = byte_token(text) {
                    self.bytes[byte as usize] = Some(token.id);
                }
            }
            TokenKind::Unknown => self.unknown = Some(token.id),
            TokenKind::Normal => {
                self.tokens.entry(text.to_owned()).or_insert(token);
            }
            _ => {}
        }
    }

    /// The id of this token.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.tokens.get(text).map(|token| token.id)
    }

    /// Appends the ids of a part at the beginning of the text or after a control token. Both get the space prefix.
    pub fn encode(&self, added: &AddedTokens, part: &Stretch, sink: &mut Sink) -> Result<()> {
        let prefix = if self.add_space_prefix { " " } else { "" };
        let text = format!("{prefix}{}", part.text);
        let marks: Vec<usize> = part.marks.iter().map(|mark| mark + prefix.len()).collect();
        added.split(&text, Phase::Normalized, part.control, &marks, |part| {
            let range = match part {
                Part::Token(id) => return sink.push(id),
                Part::Text(range) => range,
            };
            let text = text[range].replace(' ', SPACE);
            match self.word_by_word {
                true => words(&text).try_for_each(|word| sink.extend(&self.encode_word(word))),
                false => {
                    // Merging the whole text takes time, so a text that cannot fit is rejected first.
                    sink.expect(self.fewest_tokens(&text))?;
                    sink.extend(&self.encode_word(&text))
                }
            }
        })
    }

    /// A lower bound for the number of tokens of a text.
    fn fewest_tokens(&self, text: &str) -> usize {
        let nothing_lost = self.unknown.is_some() || self.bytes.iter().all(Option::is_some);
        let longest = self
            .tokens
            .keys()
            .map(String::len)
            .max()
            .unwrap_or(1)
            .max(4);
        if nothing_lost {
            text.len() / longest
        } else {
            0
        }
    }

    fn encode_word(&self, text: &str) -> Vec<u32> {
        let mut symbols = characters(text);
        self.merge(text, &mut symbols);
        let mut ids = Vec::new();
        for symbol in symbols.iter().filter(|symbol| symbol.len > 0) {
            self.push_symbol(&text[symbol.start..symbol.start + symbol.len], &mut ids);
        }
        ids
    }

    /// Merges pairs in order of their scores, leftmost first on ties, until no adjacent symbols form a token.
    fn merge(&self, text: &str, symbols: &mut [Symbol]) {
        let mut queue = BinaryHeap::new();
        for left in 0..symbols.len() {
            self.note_pair(text, symbols, Some(left), &mut queue);
        }
        while let Some(pair) = queue.pop() {
            let (left, right) = (&symbols[pair.left], &symbols[pair.right]);
            if left.len == 0 || right.len == 0 || left.len + right.len != pair.len {
                continue;
            }
            let next = right.next;
            symbols[pair.left].len = pair.len;
            symbols[pair.left].next = next;
            symbols[pair.right].len = 0;
            if let Some(next) = next {
                symbols[next].prev = Some(pair.left);
            }
            self.note_pair(text, symbols, symbols[pair.left].prev, &mut queue);
            self.note_pair(text, symbols, Some(pair.left), &mut queue);
        }
    }

    /// Queues a symbol and the next one if they form a token.
    fn note_pair(
        &self,
        text: &str,
        symbols: &[Symbol],
        left: Option<usize>,
        queue: &mut BinaryHeap<Pair>,
    ) {
        let Some((left, right)) = left.and_then(|left| Some((left, symbols[left].next?))) else {
            return;
        };
        let len = symbols[left].len + symbols[right].len;
        let start = symbols[left].start;
        if let Some(token) = self.tokens.get(&text[start..start + len]) {
            queue.push(Pair {
                left,
                right,
                len,
                score: token.score,
            });
        }
    }

    /// Appends the token of a symbol, else its bytes, else the unknown token.
    fn push_symbol(&self, text: &str, ids: &mut Vec<u32>) {
        if let Some(token) = self.tokens.get(text) {
            ids.push(token.id);
            return;
        }
        let unspelled = if text == SPACE { b" " } else { text.as_bytes() };
        match unspelled
            .iter()
            .map(|&byte| self.bytes[byte as usize])
            .collect::<Option<Vec<u32>>>()
        {
            Some(bytes) => ids.extend(bytes),
            None => ids.extend(self.unknown),
        }
    }
}

/// Every character of a text as a symbol.
fn characters(text: &str) -> Vec<Symbol> {
    let count = text.chars().count();
    let symbol = |(nth, (start, c)): (usize, (usize, char))| Symbol {
        start,
        len: c.len_utf8(),
        prev: nth.checked_sub(1),
        next: (nth + 1 < count).then_some(nth + 1),
    };
    text.char_indices().enumerate().map(symbol).collect()
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

#[cfg(test)]
mod tests {
    use super::super::spec::TokenMerging;
    use super::*;
    use proptest::prelude::*;

    fn encoder(words: &[String], scores: Vec<f32>) -> SentencePiece {
        let mut tokens: Vec<String> = ["<unk>", "▁", "a", "b"].map(str::to_owned).to_vec();
        tokens.extend_from_slice(words);
        let mut kinds = vec![TokenKind::Normal; tokens.len()];
        kinds[0] = TokenKind::Unknown;
        let mut all = vec![0.0; 4];
        all.extend(scores);
        let vocabulary = GgufVocabulary {
            tokens,
            kinds,
            merging: TokenMerging::Scored {
                scores: all.clone(),
                add_space_prefix: true,
            },
        };
        SentencePiece::new(&vocabulary, &all, true)
    }

    proptest! {
        /// If no token spans words, merging them one by one gives the same result.
        #[test]
        fn words_can_be_merged_one_by_one(
            vocab in prop::collection::vec(("▁{0,3}[ab]{1,3}|▁{2,4}", -9.0f32..0.0), 0..20),
            text in "[▁abc]{0,25}",
        ) {
            let (tokens, scores): (Vec<String>, Vec<f32>) = vocab.into_iter().unzip();
            let encoder = encoder(&tokens, scores);
            prop_assert!(encoder.word_by_word);
            let apart: Vec<u32> = words(&text).flat_map(|word| encoder.encode_word(word)).collect();
            prop_assert_eq!(encoder.encode_word(&text), apart);
        }
    }

    #[test]
    fn fewest_tokens_depends_on_the_longest_token() {
        let across = encoder(&["a▁b".to_owned()], vec![-1.0]);
        assert!(!across.word_by_word);
        assert_eq!(
            across.fewest_tokens("aaaaaaaaaa"),
            2,
            "the longest token has five bytes"
        );
    }
}
