//! Decodes tokens to text, one at a time.

use super::Tokenizer;

/// Decodes token by token. If the bytes of a character are spread over several tokens, the last of them yields the
/// character. The concatenated results of all pushes and `finish` equal the result of decoding all ids at once. It does
/// not own heap memory, so cloning it to preview a draft is cheap.
#[derive(Clone)]
pub struct TextStream {
    tokenizer: Tokenizer,
    /// `held_len` bytes of an incomplete character, at most three between tokens.
    held: [u8; 4],
    held_len: usize,
    /// Whether the leading space that SentencePiece adds to every text is still to be dropped.
    at_start: bool,
    /// Whether control tokens are written as their names.
    keep_special: bool,
}

impl TextStream {
    /// A decoder for a text from its beginning.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            held: [0; 4],
            held_len: 0,
            at_start: tokenizer.drops_leading_space(),
            keep_special: false,
        }
    }

    /// A decoder for the text after `ids`.
    pub fn with_context(tokenizer: &Tokenizer, ids: &[u32]) -> Self {
        // A character has at most four bytes, so at most three non-empty tokens precede the one that completes it.
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

    /// Whether to write control tokens as their names instead of skipping them.
    pub fn keep_special(mut self, keep: bool) -> Self {
        self.keep_special = keep;
        self
    }

    /// The text that this token adds; empty while its character is incomplete.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        self.push_into(id, &mut text);
        text
    }

    /// Like [`TextStream::push`], but appends to `text`.
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
            text.reserve(self.max_bytes(id));
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

    /// Max bytes of this token's text if it comes next; an invalid byte takes three.
    pub fn max_bytes(&self, id: u32) -> usize {
        3 * (self.held_len + self.tokenizer.tables.token_bytes.get(id).len())
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held[self.held_len..][..bytes.len()].copy_from_slice(bytes);
        self.held_len += bytes.len();
    }

    /// The remaining bytes, as replacement characters.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.held[..self.held_len]).into_owned();
        self.held_len = 0;
        rest
    }
}

/// Appends the complete characters at the front of `bytes` to `text` and returns their length in bytes. Invalid bytes
/// become U+FFFD.
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
