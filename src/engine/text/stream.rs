//! Text out of tokens, one at a time.

use super::Tokenizer;

/// Decodes token by token. A character whose bytes are spread over several tokens belongs to the token that completes
/// it, and what all pushes and `finish` return is exactly what decoding all ids at once returns. Cheap to clone, so that
/// a draft can be shown and taken back.
#[derive(Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// Bytes of a character that is not complete.
    held: Vec<u8>,
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
            held: Vec::new(),
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
        let special = self.tokenizer.is_special(id);
        if special && !self.keep_special {
            return String::new();
        }
        let mut bytes = self.tokenizer.0.pieces.get(id);
        if self.at_start && !special && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            self.at_start = false;
        }
        self.held.extend_from_slice(bytes);
        self.take_complete()
    }

    /// What is still held back, as replacement characters.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        rest
    }

    /// Take out the characters that are complete; impossible bytes become U+FFFD.
    fn take_complete(&mut self) -> String {
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.held.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let rest = chunk.invalid();
            if rest.is_empty() || (done + rest.len() == self.held.len() && may_continue(rest)) {
                break;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            done += rest.len();
        }
        self.held.drain(..done);
        text
    }
}

/// Whether these bytes can be the beginning of a character.
fn may_continue(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}
