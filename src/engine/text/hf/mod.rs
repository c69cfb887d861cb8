//! Tokenizers as defined by Hugging Face's `tokenizers` crate: `tokenizer.json`, and byte-level BPE from GGUF.
//!
//! Encoding has four steps: match added tokens, normalize the text between them, split it into words, and let a model
//! turn every word into tokens. Steps of the crate that can panic, allocate memory of an unchecked size or lose marks
//! are reimplemented; the tokens are the same.

mod charsmap;
mod decoding;
mod file;
mod model;
mod normalizer;
mod pattern;
mod pre_tokenizer;
mod steps;
mod unigram;

pub use file::{NamedToken, read};
pub use model::{BpeParts, MAX_MERGES, MAX_TOKENS, Model, spells_words_apart, words};
pub use pre_tokenizer::Words;

use super::added::{AddedTokens, Part, Phase};
use super::sink::Sink;
use super::tokenizer::Stretch;
use crate::engine::Result;
use normalizer::Normalizer;
use pre_tokenizer::Piece;

/// Encodes text.
pub struct Encoder {
    normalizer: Normalizer,
    words: Words,
    model: Model,
    /// Whether a regular expression of the file may take long on a malicious text.
    slow: bool,
}

impl Encoder {
    /// An encoder without normalizer that splits texts by built-in rules.
    pub fn new(words: Words, model: Model) -> Self {
        Self {
            normalizer: Normalizer::default(),
            words,
            model,
            slow: false,
        }
    }

    /// Whether encoding may take long on a malicious text.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// The id of this token in the model's vocabulary.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.model.id(text)
    }

    /// Normalizes a text and moves `marks` accordingly.
    pub fn normalize(&self, text: &str, marks: &mut [usize]) -> Result<String> {
        Ok(self.normalizer.normalize(text, marks)?.text)
    }

    /// Encodes a text that contains no raw added tokens. `at_start`: whether the whole text begins with it.
    pub fn encode(
        &self,
        added: &AddedTokens,
        part: &mut Stretch,
        at_start: bool,
        sink: &mut Sink,
    ) -> Result<()> {
        let normalized = self.normalizer.normalize(part.text, &mut part.marks)?;
        let text = normalized.text.as_str();
        let at_start = at_start && normalized.at_start;
        added.split(
            text,
            Phase::Normalized,
            part.control,
            &part.marks,
            |part| match part {
                Part::Token(id) => sink.push(id),
                Part::Text(range) => {
                    let piece = Piece {
                        at_start: at_start && range.start == 0,
                        text: &text[range],
                    };
                    let mut encode =
                        |word: Piece| self.model.encode(word.text, |ids| sink.extend(ids));
                    self.words.split(piece, &mut encode)
                }
            },
        )
    }
}
