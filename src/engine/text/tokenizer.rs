//! Text → token ids and back, whatever the model's files hold.

use super::added::{AddedTokens, Part, Phase};
use super::parts::{GgufVocabulary, TextParts, TokenKind, TokenMerging, Vocabulary};
use super::pieces::Pieces;
use super::sentencepiece::SentencePiece;
use super::sink::{Sink, too_slow};
use super::{TextStream, byte_pair, bytes, guard, hf};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long an encoder with regular expressions that are not known may take: for any text, and for every megabyte more.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_PER_MB: Duration = Duration::from_secs(10);

/// A tokenizer; clones share its tables.
#[derive(Clone)]
pub struct Tokenizer {
    pub(super) tables: Arc<Tables>,
    /// The token that every text begins with.
    bos: Option<u32>,
    /// The token that ends a text.
    eos: Option<u32>,
    /// Ids the model has embeddings for; a larger id cannot be fed to it.
    limit: usize,
    /// Tokens that the model's context holds.
    context: usize,
    /// Whether a text took too long.
    given_up: Arc<AtomicBool>,
}

/// What the files of a model say about text.
pub struct Tables {
    pub(super) added: AddedTokens,
    pub(super) encoder: AnyEncoder,
    pub(super) pieces: Pieces,
    /// The control token that a `tokenizer.json` puts before every text.
    pub(super) first: Option<u32>,
    /// Whether a decoded text drops the space that encoding put before it.
    pub(super) drops_leading_space: bool,
}

/// What turns text without control tokens into ids.
pub(super) enum AnyEncoder {
    Words(Box<hf::Encoder>),
    SentencePiece(Box<SentencePiece>),
}

/// A part of a text that is to be encoded.
pub(super) struct Stretch<'t> {
    pub text: &'t str,
    /// Ascending places in the text that no added token stretches over.
    pub marks: Vec<usize>,
    /// Whether control tokens are recognised.
    pub control: bool,
}

impl Tokenizer {
    /// The tokenizer of a model.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let mut tokenizer = Self::from_parts(&checkpoint.text, checkpoint.config.vocab_size)?;
        tokenizer.context = checkpoint.config.context_length;
        Ok(tokenizer)
    }

    /// A tokenizer for a model with `limit` embeddings.
    pub fn from_parts(parts: &TextParts, limit: usize) -> Result<Self> {
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
            given_up: Arc::default(),
            tables,
        })
    }

    /// Ids of a text. With `special`, names of control tokens in it become those tokens; without, they are text like any
    /// other, as text from people must be. BOS is not added: see [`Tokenizer::bos`].
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        self.encode_marked(text, &[], special, usize::MAX)
    }

    /// Ids of a plain prompt as a model wants it: BOS first if it has one. Fails on a text that is certain not to fit in
    /// the model's context.
    pub fn encode_with_bos(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = self.encode_marked(text, &[], false, self.context)?;
        if let Some(bos) = self.bos {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Ids of a prompt that a program wrote: names of control tokens become those tokens. With `bos` it begins with BOS if
    /// the model wants one and the text has none. Fails on a text that is certain not to fit in the model's context.
    pub fn encode_written(&self, text: &str, bos: bool) -> Result<Vec<u32>> {
        let mut ids = self.encode_prompt(text, &[])?;
        if let Some(bos) = self.bos.filter(|id| bos && ids.first() != Some(id)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Ids of a prompt with control tokens, none of which stretches over one of `marks`, which are ascending places in
    /// the text. Fails on a text that is certain not to fit in the model's context.
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

    /// Encode on a thread of its own, which may take only so long.
    fn encode_apart(
        &self,
        text: &str,
        marks: &[usize],
        control: bool,
        max: usize,
    ) -> Result<Vec<u32>> {
        // What took too long once is not tried again: every try would leave a busy thread behind.
        if self.given_up.load(Ordering::Relaxed) {
            return Err(too_slow());
        }
        let limit = PATIENCE + PATIENCE_PER_MB * (text.len() >> 20) as u32;
        let sink = Sink::new(text.len(), max, Instant::now().checked_add(limit));
        let (tables, text, marks) = (self.tables.clone(), text.to_owned(), marks.to_owned());
        let done = guard::within(limit, move || tables.encode(&text, &marks, control, sink));
        done.unwrap_or_else(|| {
            self.given_up.store(true, Ordering::Relaxed);
            Err(too_slow())
        })
    }

    /// Vocabularies can be larger than the embedding they are shipped with.
    fn check_ids(&self, ids: Vec<u32>) -> Result<Vec<u32>> {
        match ids.iter().find(|&&id| id as usize >= self.limit) {
            Some(id) => Err(Error::Tokenizer(format!(
                "token {:?} has the id {id}, but the model knows only {} tokens",
                self.piece(*id),
                self.limit
            ))),
            None => Ok(ids),
        }
    }

    /// The token that every text begins with, if the model wants one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text, as the model's files name it.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.tables.pieces.len()
    }

    /// Whether it is a control token.
    pub fn is_special(&self, id: u32) -> bool {
        self.tables.pieces.is_special(id)
    }

    /// The id of the control token of that name.
    pub fn special_id(&self, name: &str) -> Option<u32> {
        self.tables.added.control_id(name)
    }

    /// A rendering of one token for lists: its text, a control token's name, `\xE2` for bytes that are no character.
    pub fn piece(&self, id: u32) -> String {
        let mut out = String::new();
        for chunk in self.tables.pieces.get(id).utf8_chunks() {
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
            self.tables.pieces.get(id).to_vec()
        }
    }

    /// The text of ids, control tokens left out. Bytes that are no character become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        Self::decode_stream(TextStream::new(self), ids)
    }

    /// As [`Self::decode`], with control tokens by their names.
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
    /// The token of that name: an added one, or one of the vocabulary.
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

    /// Where a text from people is to be broken so that no control token comes of it, wherever it stands: places between
    /// its characters, ascending.
    pub(super) fn breaks(&self, text: &str) -> Vec<usize> {
        let breaks = self.added.breaks(text);
        let AnyEncoder::Words(words) = &self.encoder else {
            return breaks;
        };
        if !self.added.any_normalized_control() {
            return breaks;
        }
        // Other spellings can become a name when they are normalized: `<S>`, or `＜s＞`. Where those in sight do not
        // account for all, every character is parted from the next.
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
            .field("tokens", &self.pieces.len())
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
    let pieces = Pieces::collect(tokens().map(|(token, kind)| {
        let special = matches!(kind, TokenKind::Control | TokenKind::Unknown);
        (token_bytes(token, *kind, &vocabulary.merging), special)
    }));
    Ok(Tables {
        added: vocabulary.added_tokens()?,
        encoder,
        pieces,
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
