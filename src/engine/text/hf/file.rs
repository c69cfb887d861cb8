//! Parses `tokenizer.json`. The result is bounded in size, and none of its steps can panic, hang or allocate without
//! limit. Padding, truncation and training settings are ignored.

use super::Encoder;
use super::decoding::Decoding;
use super::model::{BpeParts, MAX_MERGES, MAX_TOKENS, Model};
use super::normalizer::Normalizer;
use super::pre_tokenizer::Words;
use super::steps::Budget;
use super::unigram::Unigram;
use crate::engine::text::added::{AddedToken, AddedTokens};
use crate::engine::text::guard;
use crate::engine::text::spec::ends_turn;
use crate::engine::text::token_bytes::TokenBytes;
use crate::engine::text::tokenizer::{AnyEncoder, Tables};
use crate::engine::{Error, Result};
use crate::error_text;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;

/// A token that another file of the folder describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedToken {
    /// The string that it matches.
    pub content: String,
    /// Whether it is a control token.
    pub control: bool,
    /// `single_word`, `lstrip`, `rstrip` and `normalized`, if present in the file.
    pub flags: Option<[bool; 4]>,
    /// Whether this takes precedence over `tokenizer.json`.
    pub overrides: bool,
}

#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: ModelFile,
}

#[derive(serde::Deserialize)]
struct Added {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

#[derive(serde::Deserialize)]
struct ModelFile {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocab,
    merges: Option<Merges>,
    unk_token: Option<String>,
    unk_id: Option<usize>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
}

/// Tokens with ids, or tokens with scores in the order of their ids.
enum Vocab {
    Ids(Vec<(String, u32)>),
    Scores(Vec<(String, f64)>),
}

struct Merges(Vec<(String, String)>);

/// Parses a `tokenizer.json`. `named` are the tokens described by other files of the folder.
///
/// # Errors
///
/// If it is damaged, too large, or uses a feature that skiplens does not support.
pub fn read(json: &str, named: &[NamedToken]) -> Result<Tables> {
    let file: File =
        serde_json::from_str(json).map_err(|error| Error::Tokenizer(error_text::json(&error)))?;
    guard::catch("building the tokenizer", || build(file, named))
}

fn build(file: File, named: &[NamedToken]) -> Result<Tables> {
    let decoding = Decoding::read(&file.decoder);
    let texts = file.model.vocab.tokens();
    check_ids(&texts).map_err(Error::Tokenizer)?;
    let mut budget = Budget::default();
    let normalizer = Normalizer::read(&file.normalizer, &mut budget).map_err(Error::Tokenizer)?;
    let words = Words::read(&file.pre_tokenizer, &mut budget).map_err(Error::Tokenizer)?;
    let bytes: Vec<(Vec<u8>, u32)> = texts
        .iter()
        .map(|(text, id)| (decoding.bytes(text), *id))
        .collect();
    let model = file.model.build().map_err(Error::Tokenizer)?;
    let tokens = added_tokens(file.added_tokens, named, &model);
    let token_bytes = token_bytes(bytes, &tokens).map_err(Error::Tokenizer)?;
    let added = AddedTokens::new(tokens, |text| Ok(normalizer.normalize(text, &mut [])?.text))?;
    let first = first_token(&file.post_processor).filter(|id| {
        added
            .tokens()
            .iter()
            .any(|token| token.control && token.id == *id)
    });
    Ok(Tables {
        added,
        token_bytes,
        first,
        drops_leading_space: decoding.drops_leading_space,
        encoder: AnyEncoder::Words(Box::new(Encoder {
            normalizer,
            words,
            model,
            slow: budget.slow,
        })),
    })
}

/// Rejects ids that are much larger than the vocabulary.
fn check_ids(tokens: &[(&str, u32)]) -> Result<(), String> {
    let count = tokens
        .iter()
        .map(|(_, id)| *id as usize + 1)
        .max()
        .unwrap_or(0);
    match count > 4 * tokens.len() + 65_536 {
        true => Err(format!(
            "token ids up to {count} for {} tokens",
            tokens.len()
        )),
        false => Ok(()),
    }
}

/// Assigns ids to the added tokens: the id in the vocabulary, else, as in the library, the next id after its end, in
/// file order. Tokens that other files mark as control tokens are control tokens whatever this file says, and so are
/// tokens known by name to end a turn.
fn added_tokens(file: Vec<Added>, named: &[NamedToken], model: &Model) -> Vec<AddedToken> {
    let mut tokens: Vec<AddedToken> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut next = model.len() as u32;
    for added in file.into_iter().filter(|added| !added.content.is_empty()) {
        let known = places.get(&added.content).copied();
        let id = known
            .map(|at| tokens[at].id)
            .or_else(|| model.id(&added.content));
        let id = id.unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        let token = AddedToken {
            id,
            single_word: added.single_word,
            lstrip: added.lstrip,
            rstrip: added.rstrip,
            normalized: added.normalized.unwrap_or(!added.special),
            control: added.special,
            content: added.content,
        };
        match known {
            Some(at) => tokens[at] = token,
            None => {
                places.insert(token.content.clone(), tokens.len());
                tokens.push(token);
            }
        }
    }
    for name in named {
        let (at, known) = match (places.get(&name.content), model.id(&name.content)) {
            (Some(at), _) => (*at, true),
            (None, Some(id)) => {
                places.insert(name.content.clone(), tokens.len());
                tokens.push(AddedToken {
                    normalized: !name.control,
                    ..AddedToken::plain(id, &name.content, name.control)
                });
                (tokens.len() - 1, false)
            }
            // No token has this name.
            (None, None) => continue,
        };
        let token = &mut tokens[at];
        token.control |= name.control;
        if let Some([single_word, lstrip, rstrip, normalized]) = name.flags
            && (name.overrides || !known)
        {
            (token.single_word, token.normalized) = (single_word, normalized);
            (token.lstrip, token.rstrip) = (lstrip, rstrip);
        }
    }
    for token in &mut tokens {
        token.control |= token.content.starts_with("<|") && ends_turn(&token.content);
    }
    tokens
}

/// The bytes of every token, in the order of ids.
fn token_bytes(vocab: Vec<(Vec<u8>, u32)>, added: &[AddedToken]) -> Result<TokenBytes, String> {
    let ids = vocab.iter().map(|(_, id)| *id);
    let last = ids.chain(added.iter().map(|token| token.id)).max();
    let count = last.map_or(0, |id| id as usize + 1);
    let mut pieces = vec![(Vec::new(), false); count];
    for (bytes, id) in vocab {
        pieces[id as usize].0 = bytes;
    }
    for token in added {
        pieces[token.id as usize] = (token.content.clone().into_bytes(), token.control);
    }
    TokenBytes::collect(pieces.into_iter())
}

/// The token that the post-processor adds at the beginning of a text.
fn first_token(processor: &Value) -> Option<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match processor.get("type")?.as_str()? {
        "TemplateProcessing" => {
            let name = processor
                .get("single")?
                .get(0)?
                .get("SpecialToken")?
                .get("id")?;
            let token = processor.get("special_tokens")?.get(name.as_str()?)?;
            id(token.get("ids")?.get(0)?)
        }
        "BertProcessing" | "RobertaProcessing" => id(processor.get("cls")?.get(1)?),
        "Sequence" => {
            let list = processor.get("processors")?.as_array()?;
            list.iter().rev().find_map(first_token)
        }
        _ => None,
    }
}

impl ModelFile {
    fn build(self) -> Result<Model, String> {
        let kind = self.kind.as_deref().unwrap_or(match &self.vocab {
            Vocab::Scores(_) => "Unigram",
            Vocab::Ids(_) if self.merges.is_some() => "BPE",
            Vocab::Ids(_) if self.max_input_chars_per_word.is_some() => "WordPiece",
            Vocab::Ids(_) => "WordLevel",
        });
        let unknown = || self.unk_token.clone().ok_or("its unknown token is missing");
        match (kind, self.vocab) {
            ("BPE", Vocab::Ids(vocab)) => Model::bpe(BpeParts {
                vocab,
                merges: self.merges.ok_or("its merges are missing")?.0,
                unknown: self.unk_token,
                prefix: self.continuing_subword_prefix,
                suffix: self.end_of_word_suffix,
                fuse_unknown: self.fuse_unk.unwrap_or(false),
                byte_fallback: self.byte_fallback.unwrap_or(false),
                ignore_merges: self.ignore_merges.unwrap_or(false),
            }),
            ("Unigram", Vocab::Scores(vocab)) => {
                Unigram::new(vocab, self.unk_id, self.byte_fallback.unwrap_or(false))
                    .map(Model::Unigram)
            }
            ("WordLevel", Vocab::Ids(vocab)) => Model::word_level(vocab, unknown()?),
            ("WordPiece", Vocab::Ids(vocab)) => {
                let prefix = self.continuing_subword_prefix.clone();
                Model::word_piece(
                    vocab,
                    unknown()?,
                    prefix.unwrap_or_else(|| "##".into()),
                    self.max_input_chars_per_word.unwrap_or(100),
                )
            }
            ("BPE" | "Unigram" | "WordLevel" | "WordPiece", _) => {
                Err(format!("its vocabulary is not that of the model {kind}"))
            }
            (other, _) => Err(format!("the model {other:?}, which skiplens does not know")),
        }
    }
}

impl Vocab {
    /// All tokens with their ids.
    fn tokens(&self) -> Vec<(&str, u32)> {
        match self {
            Self::Ids(vocab) => vocab
                .iter()
                .map(|(text, id)| (text.as_str(), *id))
                .collect(),
            Self::Scores(vocab) => vocab
                .iter()
                .map(|(text, _)| text.as_str())
                .zip(0..)
                .collect(),
        }
    }
}

fn too_many<E: de::Error>(what: &str, max: usize) -> E {
    E::custom(format!("more than {max} {what}"))
}

impl<'de> Deserialize<'de> for Vocab {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Vocab;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tokens with ids or with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    vocab.push(entry);
                    if vocab.len() > MAX_TOKENS {
                        return Err(too_many("tokens", MAX_TOKENS));
                    }
                }
                Ok(Vocab::Ids(vocab))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocab, A::Error> {
                let mut vocab = Vec::new();
                while let Some(entry) = list.next_element()? {
                    vocab.push(entry);
                    if vocab.len() > MAX_TOKENS {
                        return Err(too_many("tokens", MAX_TOKENS));
                    }
                }
                Ok(Vocab::Scores(vocab))
            }
        }
        deserializer.deserialize_any(Tokens)
    }
}

impl<'de> Deserialize<'de> for Merges {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Merges;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merges, A::Error> {
                let mut merges = Vec::new();
                while let Some(merge) = list.next_element::<Merge>()? {
                    merges.extend(merge.0);
                    if merges.len() > MAX_MERGES {
                        return Err(too_many("merges", MAX_MERGES));
                    }
                }
                Ok(Merges(merges))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Two tokens: a list of both, or a string with a space between them. `None` for a version line.
struct Merge(Option<(String, String)>);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a merge of two tokens")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<Merge, E> {
                if line.starts_with("#version") {
                    return Ok(Merge(None));
                }
                let pair = line.split_once(' ').filter(|(_, b)| !b.contains(' '));
                let (a, b) = pair.ok_or_else(|| {
                    E::custom(format!("the merge {line:?} does not name two tokens"))
                })?;
                Ok(Merge(Some((a.to_owned(), b.to_owned()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let pair = (list.next_element()?, list.next_element()?);
                match (pair, list.next_element::<de::IgnoredAny>()?) {
                    ((Some(a), Some(b)), None) => Ok(Merge(Some((a, b)))),
                    _ => Err(de::Error::custom("a merge that does not name two tokens")),
                }
            }
        }
        deserializer.deserialize_any(Pair)
    }
}
