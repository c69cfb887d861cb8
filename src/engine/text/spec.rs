//! Vocabulary and settings of a tokenizer, as read from the files of a model.

use super::Tables;
use super::added::{AddedToken, AddedTokens};
use super::hf::{MAX_MERGES, MAX_TOKENS};
use crate::engine::Result;
use std::sync::Arc;

/// Vocabulary, special tokens and chat template of a model.
#[derive(Debug, Clone)]
pub struct TokenizerSpec {
    /// The tokens.
    pub vocabulary: Vocabulary,
    /// Name of the beginning-of-sequence token.
    pub bos_token: Option<String>,
    /// Name of the end-of-sequence token.
    pub eos_token: Option<String>,
    /// Whether a text begins with the BOS token; `None` if the tokenizer's post-processing decides.
    pub add_bos: Option<bool>,
    /// Source of the chat template.
    pub chat_template: Option<String>,
}

/// The vocabulary, by source.
#[derive(Debug, Clone)]
pub enum Vocabulary {
    /// From a `tokenizer.json`, parsed and checked.
    Json(Arc<Tables>),
    /// From GGUF metadata.
    Gguf(GgufVocabulary),
}

/// The vocabulary in GGUF metadata.
#[derive(Debug, Clone)]
pub struct GgufVocabulary {
    /// Token strings by id: byte-level characters (gpt2), or with `▁` for a space (llama).
    pub tokens: Vec<String>,
    /// Token kinds by id.
    pub kinds: Vec<TokenKind>,
    /// How characters are merged.
    pub merging: TokenMerging,
}

/// How characters are merged into tokens.
#[derive(Debug, Clone)]
pub enum TokenMerging {
    /// Byte-level BPE: pairs of tokens merge in order of rank within words.
    Ranked {
        /// Pairs of tokens separated by a space, in order of rank.
        merges: Vec<String>,
        /// Name of the rule that splits text into words.
        split: String,
    },
    /// SentencePiece BPE: the pair with the best score merges first; characters without a token become bytes.
    Scored {
        /// Scores by id.
        scores: Vec<f32>,
        /// Whether a space is put before a text.
        add_space_prefix: bool,
    },
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Ordinary text.
    Normal,
    /// Stands for text that has no token.
    Unknown,
    /// Controls the model and is not text: `<s>`, `<|im_end|>`.
    Control,
    /// Text that is always one token.
    UserDefined,
    /// Never used.
    Unused,
    /// One byte, `<0x0A>`.
    Byte,
}

impl TokenKind {
    /// The kind with this ggml number.
    pub fn from_ggml(number: i32) -> Self {
        match number {
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => Self::Normal,
        }
    }
}

impl GgufVocabulary {
    /// Checks that the lists are consistent.
    ///
    /// # Errors
    ///
    /// If they are not; the message says why.
    pub fn check(&self) -> Result<(), String> {
        let count = self.tokens.len();
        if count == 0 || count > MAX_TOKENS {
            return Err(format!("a vocabulary of {count} tokens"));
        }
        if self.kinds.len() != count {
            return Err(format!(
                "{count} tokens, but {} token types",
                self.kinds.len()
            ));
        }
        match &self.merging {
            TokenMerging::Scored { scores, .. } if scores.len() != count => {
                Err(format!("{count} tokens, but {} scores", scores.len()))
            }
            TokenMerging::Ranked { merges, .. } if merges.len() > MAX_MERGES => {
                Err(format!("{} merges", merges.len()))
            }
            _ => Ok(()),
        }
    }

    /// Whether texts begin with BOS by default.
    pub fn begins_with_bos(&self) -> bool {
        match &self.merging {
            TokenMerging::Scored { .. } => true,
            TokenMerging::Ranked { split, .. } => split.starts_with("llama"),
        }
    }

    /// Marks tokens as control tokens that the file names as such, or that are known by name to end a turn. Converters
    /// may have marked them as text.
    pub fn mark_control(&mut self, named: &[u32]) {
        for ((token, kind), id) in self.tokens.iter().zip(&mut self.kinds).zip(0..) {
            let named = named.contains(&id) && (*kind == TokenKind::UserDefined || is_tag(token));
            let by_name = token.starts_with("<|") && ends_turn(token);
            let is_text = matches!(
                kind,
                TokenKind::Normal | TokenKind::UserDefined | TokenKind::Unused
            );
            if is_text && (named || by_name) {
                *kind = TokenKind::Control;
            }
        }
    }

    /// Control tokens and their ids.
    pub fn control_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        self.of_kind(TokenKind::Control)
    }

    /// The tokens that are matched in a text before merging.
    pub(super) fn added_tokens(&self) -> Result<AddedTokens> {
        let control = self
            .control_tokens()
            .map(|(name, id)| AddedToken::plain(id, name, true));
        let scored = matches!(self.merging, TokenMerging::Scored { .. });
        let user_defined = self
            .of_kind(TokenKind::UserDefined)
            .map(|(name, id)| AddedToken {
                normalized: scored,
                ..AddedToken::plain(id, name, false)
            });
        // SentencePiece uses its own character for a space; the text to be matched still has spaces.
        AddedTokens::new(control.chain(user_defined).collect(), |name| {
            Ok(name.replace('▁', " "))
        })
    }

    fn of_kind(&self, wanted: TokenKind) -> impl Iterator<Item = (&str, u32)> {
        let all = self.tokens.iter().zip(&self.kinds).zip(0u32..);
        all.filter(move |((token, kind), _)| **kind == wanted && !token.is_empty())
            .map(|((token, _), id)| (token.as_str(), id))
    }
}

/// Whether a token looks like a tag rather than text.
fn is_tag(token: &str) -> bool {
    let inside = |open: char, close: char| token.starts_with(open) && token.ends_with(close);
    token.len() > 2 && (inside('<', '>') || inside('[', ']'))
}

/// Whether a control token with this name ends a turn in some model family. Files often name only one of several.
pub fn ends_turn(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "</s>",
        "<|im_end|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end|>",
        "<|eos|>",
    ];
    NAMES.contains(&name)
}

/// The ids of the control tokens that end a turn.
pub fn turn_ends<'a>(
    control_tokens: impl Iterator<Item = (&'a str, u32)>,
) -> impl Iterator<Item = u32> {
    control_tokens
        .filter(|(name, _)| ends_turn(name))
        .map(|(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An end token is a control token, whatever kind the converter gave it; an ordinary word is not.
    #[test]
    fn named_tokens_become_control_tokens() {
        use TokenKind::{Byte, Control, Normal, UserDefined};
        let names = ["a", "<end>", "<|eot_id|>", "stop", "<0x0A>", "<|im_end|>"];
        let mut vocabulary = GgufVocabulary {
            tokens: names.map(str::to_owned).to_vec(),
            kinds: vec![Normal, Normal, UserDefined, UserDefined, Byte, Normal],
            merging: TokenMerging::Ranked {
                merges: Vec::new(),
                split: "gpt-2".into(),
            },
        };
        vocabulary.mark_control(&[0, 1, 3, 4]);
        assert_eq!(
            vocabulary.kinds,
            [Normal, Control, Control, Control, Byte, Control]
        );
    }
}
