//! Tokenizers as Hugging Face's `tokenizers` crate defines them: `tokenizer.json`, and byte-level BPE out of a GGUF.
//!
//! A text goes through four steps: added tokens are found, what lies between is normalized and split into words, and a
//! model turns every word into tokens. The steps are our own where the crate's can panic, take memory by the say-so of a
//! file or lose marks; they give the same tokens.

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

/// Turns text into tokens.
pub struct Encoder {
    normalizer: Normalizer,
    words: Words,
    model: Model,
    /// Whether a regular expression of the file may take long on a text made for it.
    slow: bool,
}

impl Encoder {
    /// An encoder that leaves texts as they are and splits them by rules of our own.
    pub fn new(words: Words, model: Model) -> Self {
        Self {
            normalizer: Normalizer::default(),
            words,
            model,
            slow: false,
        }
    }

    /// Whether encoding may take long on a text made for it.
    pub fn is_slow(&self) -> bool {
        self.slow
    }

    /// The token of the model's vocabulary of that text.
    pub fn id(&self, text: &str) -> Option<u32> {
        self.model.id(text)
    }

    /// The normalized form of a text, along with which `marks` move.
    pub fn normalize(&self, text: &str, marks: &mut [usize]) -> Result<String> {
        Ok(self.normalizer.normalize(text, marks)?.text)
    }

    /// Encode a text in which no raw added token is left. `at_start` says whether the whole text begins with it.
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
