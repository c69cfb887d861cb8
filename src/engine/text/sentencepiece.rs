//! SentencePiece BPE as Llama 1 and 2 use it: neighbours merge while some token spells them both, the best score first;
//! what is left over becomes bytes.

use super::bytes::byte_token;
use super::parts::{GgufVocabulary, TokenKind};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// The character that SentencePiece writes for a space.
const SPACE: &str = "▁";

/// An encoder over a vocabulary with scores.
pub struct SentencePiece {
    /// Tokens that merging may produce.
    tokens: HashMap<String, Token>,
    /// The token of each byte.
    bytes: [Option<u32>; 256],
    unknown: Option<u32>,
    /// Tokens that are found before anything merges, longest first.
    user_defined: Vec<(String, u32)>,
    add_space_prefix: bool,
}

#[derive(Clone, Copy)]
struct Token {
    id: u32,
    score: f32,
}

/// A stretch of the text: at first a character, at last a token. Linked to its neighbours, so that a merge is cheap.
struct Symbol {
    start: usize,
    /// Zero once it has been merged into the one before.
    len: usize,
    prev: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that a token spells.
struct Pair {
    left: usize,
    right: usize,
    /// Length that both had together when this was noted; a merge since then makes it stale.
    len: usize,
    score: f32,
}

impl SentencePiece {
    pub fn new(vocabulary: &GgufVocabulary, scores: &[f32], add_space_prefix: bool) -> Self {
        let mut encoder = Self {
            tokens: HashMap::new(),
            bytes: [None; 256],
            unknown: None,
            user_defined: Vec::new(),
            add_space_prefix,
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
        encoder
            .user_defined
            .sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
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
            TokenKind::UserDefined if !text.is_empty() => {
                self.user_defined.push((text.replace(SPACE, " "), token.id));
            }
            TokenKind::Normal => {
                self.tokens.entry(text.to_owned()).or_insert(token);
            }
            _ => {}
        }
    }

    /// Append the ids of a text that stands at the beginning or after a control token: both get the space prefix.
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let prefixed = if self.add_space_prefix {
            format!(" {text}")
        } else {
            text.to_owned()
        };
        let mut rest = prefixed.as_str();
        while let Some((at, length, id)) = self.find_user_defined(rest) {
            self.encode_stretch(&rest[..at], ids);
            ids.push(id);
            rest = &rest[at + length..];
        }
        self.encode_stretch(rest, ids);
    }

    /// The first user-defined token in a text: where, how long, which.
    fn find_user_defined(&self, text: &str) -> Option<(usize, usize, u32)> {
        let found = self
            .user_defined
            .iter()
            .filter_map(|(name, id)| Some((text.find(name)?, name.len(), *id)));
        found.min_by_key(|&(at, length, _)| (at, std::cmp::Reverse(length)))
    }

    fn encode_stretch(&self, text: &str, ids: &mut Vec<u32>) {
        let text = text.replace(' ', SPACE);
        let mut symbols = characters(&text);
        self.merge(&text, &mut symbols);
        for symbol in symbols.iter().filter(|symbol| symbol.len > 0) {
            self.push_symbol(&text[symbol.start..symbol.start + symbol.len], ids);
        }
    }

    /// Merge pairs in the order of their scores, the leftmost of equals first, until no token spells two neighbours.
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

    /// Put a symbol and the one after it into the queue, if a token spells them.
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

    /// The token that spells a symbol, or else its bytes, or else the unknown token.
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

/// Every character of a text as a symbol of its own.
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
