//! What the files of a model say about text, before a tokenizer is built of it.

use std::path::PathBuf;

/// Vocabulary, special tokens and chat template of a model.
#[derive(Debug, Clone)]
pub struct TextParts {
    pub vocabulary: Vocabulary,
    /// Name of the beginning-of-sequence token.
    pub bos_token: Option<String>,
    /// Name of the end-of-sequence token.
    pub eos_token: Option<String>,
    /// Whether a text begins with the BOS token; none to go by the tokenizer's own post-processing.
    pub add_bos: Option<bool>,
    /// Source of the chat template.
    pub chat_template: Option<String>,
}

/// Where the vocabulary is.
#[derive(Debug, Clone)]
pub enum Vocabulary {
    /// A `tokenizer.json`.
    File(PathBuf),
    Gguf(GgufVocabulary),
}

/// A vocabulary as GGUF metadata hold it.
#[derive(Debug, Clone)]
pub struct GgufVocabulary {
    /// Token texts by id: byte-level characters (gpt2) or with `▁` for a space (llama).
    pub tokens: Vec<String>,
    pub kinds: Vec<TokenKind>,
    pub merging: TokenMerging,
}

/// How tokens come about from characters.
#[derive(Debug, Clone)]
pub enum TokenMerging {
    /// Byte-level BPE: pairs of tokens in order of rank, inside of words that a rule splits off.
    Ranked { merges: Vec<String>, split: String },
    /// SentencePiece BPE: the pair with the best score merges first; bytes where nothing fits.
    Scored {
        scores: Vec<f32>,
        add_space_prefix: bool,
    },
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Normal,
    Unknown,
    /// Steers the model and is no text: `<s>`, `<|im_end|>`.
    Control,
    /// Text that is always one token.
    UserDefined,
    Unused,
    /// One byte, `<0x0A>`.
    Byte,
}

impl TokenKind {
    /// From ggml's numbers.
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
    /// What is wrong with the lists taken together.
    pub fn check(&self) -> Result<(), String> {
        let count = self.tokens.len();
        if count == 0 || u32::try_from(count).is_err() {
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
            _ => Ok(()),
        }
    }

    /// Whether texts of such a vocabulary begin with the BOS token where the file does not say.
    pub fn begins_with_bos(&self) -> bool {
        match &self.merging {
            TokenMerging::Scored { .. } => true,
            TokenMerging::Ranked { split, .. } => split.starts_with("llama"),
        }
    }

    /// Control tokens and their ids.
    pub fn control_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let all = self.tokens.iter().zip(&self.kinds).zip(0u32..);
        all.filter(|((_, kind), _)| **kind == TokenKind::Control)
            .map(|((token, _), id)| (token.as_str(), id))
    }
}

/// Among control tokens, those that end a turn by the custom of some model family. Files often name only one of several.
pub fn turn_ends<'a>(
    control_tokens: impl Iterator<Item = (&'a str, u32)>,
) -> impl Iterator<Item = u32> {
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
    control_tokens
        .filter(|(name, _)| NAMES.contains(name))
        .map(|(_, id)| id)
}
