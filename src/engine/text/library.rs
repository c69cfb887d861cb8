//! Tokenizers of the `tokenizers` crate: `tokenizer.json`, and the byte-level BPE built of a GGUF.

use super::parts::TextParts;
use super::tokenizer::Tables;
use crate::engine::{Error, Result};
use std::path::Path;

/// Encodes text. Control tokens are found before it is asked, so that text can hold their names without becoming them.
pub struct Encoder {
    whole: tokenizers::Tokenizer,
}

impl Encoder {
    pub fn new(mut tokenizer: tokenizers::Tokenizer) -> Result<Self> {
        tokenizer.set_encode_special_tokens(true);
        Ok(Self { whole: tokenizer })
    }

    /// Ids of a text that stands at the beginning or after something else.
    pub fn encode(&self, text: &str, _at_start: bool) -> Result<Vec<u32>> {
        let encoding = self.whole.encode_fast(text, false).map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }
}

pub(super) fn from_file(_path: &Path, _parts: &TextParts, _limit: usize) -> Result<Tables> {
    Err(Error::Tokenizer("todo".into()))
}
