//! Converts text to token ids and back, for all supported kinds of vocabulary.

use super::added::{AddedTokens, Part, Phase};
use super::sentencepiece::SentencePiece;
use super::sink::{Sink, too_slow};
use super::spec::{GgufVocabulary, TokenKind, TokenMerging, TokenizerSpec, Vocabulary};
use super::token_bytes::TokenBytes;
use super::{TextStream, byte_pair, bytes, guard, hf};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time limit for encoders with unknown regular expressions: a base, and an increment per megabyte.
const TIME_LIMIT: Duration = Duration::from_secs(10);
const TIME_LIMIT_PER_MB: Duration = Duration::from_secs(10);

/// A tokenizer; clones share its tables.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) tables: Arc<Tables>,
    /// The token that begins every text.
    bos: Option<u32>,
    /// The token that ends a text.
    eos: Option<u32>,
    /// Number of embeddings of the model; larger ids are out of range.
    limit: usize,
    /// Context length of the model.
    context: usize,
    /// Whether a text took too long.
    timed_out: Arc<AtomicBool>,
}

/// The tables of a vocabulary.
pub struct Tables {
    pub(super) added: AddedTokens,
    pub(super) encoder: AnyEncoder,
    pub(super) token_bytes: TokenBytes,
    /// The control token that a `tokenizer.json` adds at the beginning of every text.
    pub(super) first: Option<u32>,
    /// Whether decoding removes the leading space that encoding adds.
    pub(super) drops_leading_space: bool,
}

/// Encodes text without control tokens.
pub(super) enum AnyEncoder {
    Words(Box<hf::Encoder>),
    SentencePiece(Box<SentencePiece>),
}

/// A part of a text to encode.
pub(super) struct Stretch<'t> {
    pub text: &'t str,
    /// Ascending positions in the text that no added token may span.
    pub marks: Vec<usize>,
    /// Whether control tokens are recognised.
    pub control: bool,
}

impl Tokenizer {
    /// The tokenizer of a model.
    ///
    /// # Errors
    ///
    /// If the vocabulary is damaged or not supported.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let mut tokenizer = Self::from_spec(&checkpoint.text, checkpoint.config.vocab_size)?;
        tokenizer.context = checkpoint.config.context_length;
        Ok(tokenizer)
    }

    /// A tokenizer for a model with `limit` embeddings.
    ///
    /// # Errors
    ///
    /// If the vocabulary is damaged or not supported.
    pub fn from_spec(parts: &TokenizerSpec, limit: usize) -> Result<Self> {
        let tables = match &parts.vocabulary {
            Vocabulary::Json(tables) => tables.clone(),
            Vocabulary::Gguf(vocabulary) => {
                Arc::new(guard::catch("building the tokenizer", || {
                    from_gguf(vocabulary)
                })?)
            }
        };
        let named = || parts.bos_token.as_deref().and_then(|name| tables.id(name));
        Ok(Self {
            bos: match parts.add_bos {
                Some(false) => None,
                Some(true) => named(),
                None => tables.first,
            },
            eos: parts.eos_token.as_deref().and_then(|name| tables.id(name)),
            limit,
            context: usize::MAX,
            timed_out: Arc::default(),
            tables,
        })
    }

    /// Token ids of a text. If `special` is set, names of control tokens become those tokens. Otherwise they are
    /// ordinary text, which untrusted text requires. BOS is not added: see [`Tokenizer::bos`].
    ///
    /// # Errors
    ///
    /// If the text cannot be encoded, for example because it takes too long.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        self.encode_marked(text, &[], special, usize::MAX)
    }

    /// Token ids of a plain prompt, beginning with BOS if the model uses it.
    ///
    /// # Errors
    ///
    /// As [`Self::encode`], or if the text cannot fit in the model's context.
    pub fn encode_with_bos(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode_marked(text, &[], false, self.context)?;
        if let Some(bos) = self.bos {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Token ids of a prompt written by a program: names of control tokens become those tokens. If `bos` is set, BOS is
    /// added if the model uses it and the text does not begin with it.
    ///
    /// # Errors
    ///
    /// If the text cannot fit in the model's context.
    pub fn encode_written(&self, text: &str, bos: bool) -> Result<Vec<u32>> {
        let mut ids = self.encode_prompt(text, &[])?;
        if let Some(bos) = self.bos.filter(|id| bos && ids.first() != Some(id)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Token ids of a prompt with control tokens, none of which spans any of `marks`, ascending positions in the text.
    /// Fails if the text cannot fit in the model's context.
    pub(super) fn encode_prompt(&self, text: &str, marks: &[usize]) -> Result<Vec<u32>> {
        self.encode_marked(text, marks, true, self.context)
    }

    fn encode_marked(
        &self,
        text: &str,
        marks: &[usize],
        control: bool,
        max: usize,
    ) -> Result<Vec<u32>> {
        let slow = matches!(&self.tables.encoder, AnyEncoder::Words(words) if words.is_slow());
        let ids = match slow {
            false => self
                .tables
                .encode(text, marks, control, Sink::new(text.len(), max, None))?,
            true => self.encode_apart(text, marks, control, max)?,
        };
        self.check_ids(ids)
    }

    /// Encodes on a separate thread with a time limit.
    fn encode_apart(
        &self,
        text: &str,
        marks: &[usize],
        control: bool,
        max: usize,
    ) -> Result<Vec<u32>> {
        // No further attempt after a timeout: each would leave a busy thread behind.
        if self.timed_out.load(Ordering::Relaxed) {
            return Err(too_slow());
        }
        let limit = TIME_LIMIT + TIME_LIMIT_PER_MB * (text.len() >> 20) as u32;
        let sink = Sink::new(text.len(), max, Instant::now().checked_add(limit));
        let (tables, text, marks) = (self.tables.clone(), text.to_owned(), marks.to_owned());
        let done = guard::within(limit, move || tables.encode(&text, &marks, control, sink));
        done.unwrap_or_else(|| {
            self.timed_out.store(true, Ordering::Relaxed);
            Err(too_slow())
        })
    }

    /// Checks that the model has embeddings for all ids, because vocabularies can be larger.
    fn check_ids(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        match ids.iter().find(|&&id| id as usize >= self.limit) {
            Some(id) => Err(Error::Tokenizer(format!(
                "token {:?} has the id {id}, but the model has only {} tokens",
                self.piece(*id),
                self.limit
            ))),
            None => Ok(ids),
        }
    }

    /// The token that begins every text, if the model uses one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-sequence token in the model's files.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tables.token_bytes.len()
    }

    /// Whether it is a control token.
    pub fn is_special(&self, id: u32) -> bool {
        self.tables.token_bytes.is_special(id)
    }

    /// The id of the control token with this name.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.tables.added.control_id(name)
    }

    /// A readable form of a token: its text, the name of a control token, or `\xE2` for invalid bytes.
    pub fn piece(&self, id: u32) -> String {
        let mut out = String::new();
        for chunk in self.tables.token_bytes.get(id).utf8_chunks() {
            out.push_str(chunk.valid());
            out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02X}")));
        }
        if out.is_empty() {
            format!("[{id}]")
        } else {
            out
        }
    }

    /// The bytes that a token adds to a text; empty for control tokens.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        if self.is_special(id) {
            Vec::new()
        } else {
            self.tables.token_bytes.get(id).to_vec()
        }
    }

    /// The text of ids, without control tokens. Invalid bytes become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        Self::decode_stream(TextStream::new(self), ids)
    }

    /// Like [`Self::decode`], with control tokens written as their names.
    pub fn decode_whole(&self, ids: &[u32]) -> String {
        Self::decode_stream(TextStream::new(self).keep_special(true), ids)
    }

    fn decode_stream(mut stream: TextStream, ids: &[u32]) -> String {
        let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
        text.push_str(&stream.finish());
        text
    }

    pub(super) fn drops_leading_space(&self) -> bool {
        self.tables.drops_leading_space
    }
}

impl Tables {
    /// The token with this name, either added or in the vocabulary.
    pub fn id(&self, name: &str) -> Option<u32> {
        let mut added = self.added.tokens().iter();
        let added = added
            .find(|token| token.content == name)
            .map(|token| token.id);
        added.or_else(|| match &self.encoder {
            AnyEncoder::Words(words) => words.id(name),
            AnyEncoder::SentencePiece(encoder) => encoder.id(name),
        })
    }

    /// Names and ids of the control tokens.
    pub fn control_tokens(&self) -> impl Iterator<Item = (&str, u32)> {
        let control = self.added.tokens().iter().filter(|token| token.control);
        control.map(|token| (token.content.as_str(), token.id))
    }

    /// Ascending positions at which to break untrusted text so that it cannot become control tokens in any context.
    pub(super) fn breaks(&self, text: &str) -> Vec<usize> {
        let breaks = self.added.breaks(text);
        let AnyEncoder::Words(words) = &self.encoder else {
            return breaks;
        };
        if !self.added.any_normalized_control() {
            return breaks;
        }
        // Normalizing can turn other spellings into a name, such as `<S>` or `＜s＞`. Unless the breaks found account for all of
        // them, the text is broken between all characters.
        let mut marks = breaks.clone();
        let normalized = match words.is_slow() {
            true => None,
            false => guard::catch("normalizing this text", || {
                words.normalize(text, &mut marks)
            })
            .ok(),
        };
        let broken = |text: &str| {
            let names = self.added.normalized_breaks(text);
            names.iter().all(|at| marks.binary_search(at).is_ok())
        };
        match normalized {
            Some(normalized) if broken(&normalized) => breaks,
            _ => text
                .char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .collect(),
        }
    }

    fn encode(
        &self,
        text: &str,
        marks: &[usize],
        control: bool,
        mut sink: Sink,
    ) -> Result<Vec<u32>> {
        guard::catch("encoding this text", || {
            self.added
                .split(text, Phase::Raw, control, marks, |part| match part {
                    Part::Token(id) => sink.push(id),
                    Part::Text(range) => {
                        let within = marks.partition_point(|&mark| mark < range.start)
                            ..marks.partition_point(|&mark| mark <= range.end);
                        let mut stretch = Stretch {
                            text: &text[range.clone()],
                            marks: marks[within]
                                .iter()
                                .map(|mark| mark - range.start)
                                .collect(),
                            control,
                        };
                        let at_start = range.start == 0;
                        match &self.encoder {
                            AnyEncoder::Words(words) => {
                                words.encode(&self.added, &mut stretch, at_start, &mut sink)
                            }
                            AnyEncoder::SentencePiece(encoder) => {
                                encoder.encode(&self.added, &stretch, &mut sink)
                            }
                        }
                    }
                })?;
            Ok(std::mem::take(&mut sink.ids))
        })
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Tables")
            .field("tokens", &self.token_bytes.len())
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

fn from_gguf(vocabulary: &GgufVocabulary) -> Result<Tables> {
    let (encoder, drops_leading_space) = match &vocabulary.merging {
        TokenMerging::Ranked { merges, split } => {
            let encoder = byte_pair::build(vocabulary, merges, split)?;
            (AnyEncoder::Words(Box::new(encoder)), false)
        }
        TokenMerging::Scored {
            scores,
            add_space_prefix,
        } => {
            let encoder = SentencePiece::new(vocabulary, scores, *add_space_prefix);
            (
                AnyEncoder::SentencePiece(Box::new(encoder)),
                *add_space_prefix,
            )
        }
    };
    let tokens = || vocabulary.tokens.iter().zip(&vocabulary.kinds);
    let token_bytes = TokenBytes::collect(tokens().map(|(token, kind)| {
        let special = matches!(kind, TokenKind::Control | TokenKind::Unknown);
        (token_bytes(token, *kind, &vocabulary.merging), special)
    }))
    .map_err(Error::Tokenizer)?;
    Ok(Tables {
        added: vocabulary.added_tokens()?,
        encoder,
        token_bytes,
        first: None,
        drops_leading_space,
    })
}

fn token_bytes(token: &str, kind: TokenKind, merging: &TokenMerging) -> Vec<u8> {
    match (kind, merging) {
        (TokenKind::Control | TokenKind::Unknown, _) => token.as_bytes().to_vec(),
        (TokenKind::UserDefined, TokenMerging::Ranked { .. }) => token.as_bytes().to_vec(),
        (_, TokenMerging::Ranked { .. }) => bytes::byte_level(token),
        (_, TokenMerging::Scored { .. }) => bytes::sentencepiece(token),
    }
}
