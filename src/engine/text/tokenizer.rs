//! Text → token ids and back, whatever the model's files hold.

use super::parts::{GgufVocabulary, TextParts, TokenKind, TokenMerging, Vocabulary};
use super::pieces::Pieces;
use super::sentencepiece::SentencePiece;
use super::special::SpecialTokens;
use super::{TextStream, byte_pair, bytes, library};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use std::sync::Arc;

/// A tokenizer; clones share its tables.
#[derive(Clone)]
pub struct Tokenizer(pub(super) Arc<Tables>);

/// What a tokenizer knows.
pub(super) struct Tables {
    pub encoder: Encoder,
    pub pieces: Pieces,
    pub special: SpecialTokens,
    /// The token that every text begins with.
    pub bos: Option<u32>,
    /// Whether a decoded text drops the space that encoding put before it.
    pub drops_leading_space: bool,
    /// Ids the model has embeddings for; a larger id cannot be fed to it.
    pub limit: usize,
}

/// What turns text without control tokens into ids.
pub(super) enum Encoder {
    Library(Box<library::Encoder>),
    SentencePiece(Box<SentencePiece>),
}

impl Tokenizer {
    /// The tokenizer of a model.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        Self::from_parts(&checkpoint.text, checkpoint.config.vocab_size)
    }

    /// A tokenizer for a model with `limit` embeddings.
    pub fn from_parts(parts: &TextParts, limit: usize) -> Result<Self> {
        let tables = match &parts.vocabulary {
            Vocabulary::File(path) => library::from_file(path, parts, limit)?,
            Vocabulary::Gguf(vocabulary) => from_gguf(vocabulary, parts, limit)?,
        };
        Ok(Self(Arc::new(tables)))
    }

    /// Ids of a text. With `special`, names of control tokens in it become those tokens; without, they are text like any
    /// other, as text from people must be. BOS is not added: see [`Tokenizer::bos`].
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        if special {
            self.0
                .special
                .split(text, |part| self.encode_part(part, &mut ids))?;
        } else {
            self.encode_part(Ok(text), &mut ids)?;
        }
        self.check_ids(ids)
    }

    /// Ids of a plain text as a model wants it: BOS first if it has one.
    pub fn encode_with_bos(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode(text, false)?;
        if let Some(bos) = self.0.bos {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Append a control token (`Err`) or a stretch of text (`Ok`).
    pub(super) fn encode_part(&self, part: Result<&str, u32>, ids: &mut Vec<u32>) -> Result<()> {
        match (part, &self.0.encoder) {
            (Err(id), _) => ids.push(id),
            (Ok(""), _) => {}
            (Ok(text), Encoder::Library(encoder)) => {
                ids.extend(encoder.encode(text, ids.is_empty())?)
            }
            (Ok(text), Encoder::SentencePiece(encoder)) => encoder.encode(text, ids),
        }
        Ok(())
    }

    /// Vocabularies can be larger than the embedding they are shipped with.
    pub(super) fn check_ids(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        match ids.iter().find(|&&id| id as usize >= self.0.limit) {
            Some(id) => Err(Error::Tokenizer(format!(
                "token {:?} has the id {id}, but the model knows only {} tokens",
                self.piece(*id),
                self.0.limit
            ))),
            None => Ok(ids),
        }
    }

    /// The token that every text begins with, if the model wants one.
    pub fn bos(&self) -> Option<u32> {
        self.0.bos
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.0.pieces.len()
    }

    /// Whether it is a control token.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.pieces.is_special(id)
    }

    /// The id of the control token of that name.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.0.special.id(name)
    }

    /// A rendering of one token for lists: its text, a control token's name, `\xE2` for bytes that are no character.
    pub fn piece(&self, id: u32) -> String {
        let mut out = String::new();
        for chunk in self.0.pieces.get(id).utf8_chunks() {
            out.push_str(chunk.valid());
            out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
        }
        if out.is_empty() {
            format!("[{id}]")
        } else {
            out
        }
    }

    /// The bytes that a token adds to a text: none for a control token.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        if self.is_special(id) {
            Vec::new()
        } else {
            self.0.pieces.get(id).to_vec()
        }
    }

    /// The text of ids, control tokens left out. Bytes that are no character become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut stream = TextStream::new(self);
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    pub(super) fn drops_leading_space(&self) -> bool {
        self.0.drops_leading_space
    }
}

fn from_gguf(vocabulary: &GgufVocabulary, parts: &TextParts, limit: usize) -> Result<Tables> {
    let special = SpecialTokens::new(vocabulary.control_tokens());
    let bos_id = || {
        parts
            .bos_token
            .as_deref()
            .and_then(|name| special.id(name).or(position(vocabulary, name)))
    };
    let bos = if parts.add_bos == Some(true) {
        bos_id()
    } else {
        None
    };
    let (encoder, drops_leading_space) = match &vocabulary.merging {
        TokenMerging::Ranked { merges, split } => {
            let tokenizer = byte_pair::build(vocabulary, merges, split)?;
            (
                Encoder::Library(Box::new(library::Encoder::new(tokenizer)?)),
                false,
            )
        }
        TokenMerging::Scored {
            scores,
            add_space_prefix,
        } => {
            let encoder = SentencePiece::new(vocabulary, scores, *add_space_prefix);
            (Encoder::SentencePiece(Box::new(encoder)), *add_space_prefix)
        }
    };
    let pieces = Pieces::collect(vocabulary.tokens.iter().zip(&vocabulary.kinds).map(
        |(token, kind)| {
            let special = matches!(kind, TokenKind::Control | TokenKind::Unknown);
            (token_bytes(token, *kind, &vocabulary.merging), special)
        },
    ));
    Ok(Tables {
        encoder,
        pieces,
        special,
        bos,
        drops_leading_space,
        limit,
    })
}

fn position(vocabulary: &GgufVocabulary, name: &str) -> Option<u32> {
    vocabulary
        .tokens
        .iter()
        .position(|token| token == name)
        .map(|at| at as u32)
}

fn token_bytes(token: &str, kind: TokenKind, merging: &TokenMerging) -> Vec<u8> {
    match (kind, merging) {
        (TokenKind::Control | TokenKind::Unknown, _) => token.as_bytes().to_vec(),
        (TokenKind::UserDefined, TokenMerging::Ranked { .. }) => token.as_bytes().to_vec(),
        (_, TokenMerging::Ranked { .. }) => bytes::byte_level(token),
        (_, TokenMerging::Scored { .. }) => bytes::sentencepiece(token),
    }
}
