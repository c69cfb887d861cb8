//! Text out of tokens, one at a time.

use super::Tokenizer;

/// Decodes token by token. A character whose bytes are spread over several tokens belongs to the token that completes
/// it, and what all pushes and `finish` return is exactly what decoding all ids at once returns. Cheap to clone, so that
/// a draft can be shown and taken back: it owns no memory.
#[derive(Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// Bytes of a character that is not complete, `held_len` of them: at most three between tokens.
    held: [u8; 4],
    held_len: usize,
    /// Whether a leading space is still to be dropped: SentencePiece puts one before every text.
    at_start: bool,
    /// Whether control tokens are written by their names.
    keep_special: bool,
}

impl TextStream {
    /// Decode a text from its beginning.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            held: [0; 4],
            held_len: 0,
            at_start: tokenizer.drops_leading_space(),
            keep_special: false,
        }
    }

    /// Decode what follows `ids`.
    pub fn with_context(tokenizer: &Tokenizer, ids: &[u32]) -> Self {
        // A character has at most four bytes, hence at most three unfinished tokens that are not empty.
        const ENOUGH: usize = 32;
        let mut stream = Self::new(tokenizer);
        if ids.len() > ENOUGH {
            stream.at_start = false;
        }
        for &id in &ids[ids.len().saturating_sub(ENOUGH)..] {
            stream.push(id);
        }
        stream
    }

    /// Write control tokens by their names instead of skipping them.
    pub fn keep_special(mut self, keep: bool) -> Self {
        self.keep_special = keep;
        self
    }

    /// The text that this token adds; empty while its character is not complete.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        self.push_into(id, &mut text);
        text
    }

    /// As [`TextStream::push`], but the text goes behind `text`.
    pub fn push_into(&mut self, id: u32, text: &mut String) {
        let tokenizer = self.tokenizer.clone();
        let special = tokenizer.is_special(id);
        if special && !self.keep_special {
            return;
        }
        let mut bytes = tokenizer.tables.token_bytes.get(id);
        if self.at_start && !special && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.at_start = false;
        }
        if self.held_len > 0 || std::str::from_utf8(bytes).is_err() {
            text.reserve(self.most_bytes(id));
        }
        while self.held_len > 0
            && let Some((&first, rest)) = bytes.split_first()
        {
            bytes = rest;
            self.hold(&[first]);
            let done = take_complete(&self.held[..self.held_len], text);
            self.held.copy_within(done.., 0);
            self.held_len -= done;
        }
        self.hold(&bytes[take_complete(bytes, text)..]);
    }

    /// Bytes that the text of this token has at most if it comes next: a byte that is no text takes three.
    pub fn most_bytes(&self, id: u32) -> usize {
        3 * (self.held_len + self.tokenizer.tables.token_bytes.get(id).len())
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held[self.held_len..][..bytes.len()].copy_from_slice(bytes);
        self.held_len += bytes.len();
    }

    /// What is still held back, as replacement characters.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.held[..self.held_len]).into_owned();
        self.held_len = 0;
        rest
    }
}

/// Puts the characters at the front of `bytes` that are complete behind `text` and returns how many bytes that were;
/// impossible bytes become U+FFFD.
fn take_complete(bytes: &[u8], text: &mut String) -> usize {
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        done += chunk.valid().len();
        let rest = chunk.invalid();
        if rest.is_empty() || (done + rest.len() == bytes.len() && may_continue(rest)) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        done += rest.len();
    }
    done
}

/// Whether these bytes can be the beginning of a character.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}
