//! Tokenizers of the `tokenizers` crate: `tokenizer.json`, and the byte-level BPE built of a GGUF.

use super::bytes;
use super::parts::TextParts;
use super::pieces::Pieces;
use super::special::SpecialTokens;
use super::tokenizer::{Encoder as AnyEncoder, Tables};
use crate::engine::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

/// Encodes text. Control tokens are found before it is asked, so that text can hold their names without becoming them.
pub struct Encoder {
    whole: tokenizers::Tokenizer,
    /// For text after a control token, where only the very first text gets a space before it.
    later: Option<tokenizers::Tokenizer>,
}

impl Encoder {
    pub fn new(mut whole: tokenizers::Tokenizer) -> Result<Self> {
        whole.set_encode_special_tokens(true);
        whole
            .with_truncation(None)
            .map_err(fault)?
            .with_padding(None);
        let later = without_first_space(whole.get_pre_tokenizer()).map(|words| {
            let mut later = whole.clone();
            later.with_pre_tokenizer(Some(words));
            later
        });
        Ok(Self { whole, later })
    }

    /// Ids of a text that stands at the beginning or after something else.
    pub fn encode(&self, text: &str, at_start: bool) -> Result<Vec<u32>> {
        let tokenizer = if at_start {
            &self.whole
        } else {
            self.later.as_ref().unwrap_or(&self.whole)
        };
        Ok(tokenizer
            .encode_fast(text, false)
            .map_err(fault)?
            .get_ids()
            .to_vec())
    }
}

/// The rule without its first space, if it is one that puts a space before the first text only.
fn without_first_space(words: Option<&PreTokenizerWrapper>) -> Option<PreTokenizerWrapper> {
    match words? {
        PreTokenizerWrapper::Metaspace(rule) if rule.prepend_scheme == PrependScheme::First => {
            Some(Metaspace::new(rule.get_replacement(), PrependScheme::Never, rule.split).into())
        }
        _ => None,
    }
}

/// Build the tables of a `tokenizer.json`.
pub(super) fn from_file(path: &Path, parts: &TextParts, limit: usize) -> Result<Tables> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let tokenizer =
        tokenizers::Tokenizer::from_bytes(&bytes).map_err(|e| Error::file(path, e.to_string()))?;
    let specials: HashMap<u32, String> = tokenizer
        .get_added_tokens_decoder()
        .iter()
        .filter(|(_, token)| token.special)
        .map(|(id, token)| (*id, token.content.clone()))
        .collect();
    let special = SpecialTokens::new(specials.iter().map(|(id, name)| (name.as_str(), *id)));
    let decoder = Decoding::of(&tokenizer)?;
    Ok(Tables {
        bos: find_bos(&tokenizer, parts, &specials)?,
        pieces: collect_pieces(&tokenizer, &specials, &decoder)
            .map_err(|fault| Error::file(path, fault))?,
        special,
        drops_leading_space: decoder.drops_leading_space,
        encoder: AnyEncoder::Library(Box::new(Encoder::new(tokenizer)?)),
        limit,
    })
}

/// How tokens become text again.
struct Decoding {
    byte_level: bool,
    drops_leading_space: bool,
}

impl Decoding {
    /// By the parts of the tokenizer's decoder.
    fn of(tokenizer: &tokenizers::Tokenizer) -> Result<Self> {
        let decoder = tokenizer
            .get_decoder()
            .map(serde_json::to_value)
            .transpose();
        let decoder = decoder.map_err(fault)?.unwrap_or_default();
        let sequence = decoder.get("decoders").and_then(Value::as_array);
        let parts = sequence.map_or_else(|| vec![&decoder], |list| list.iter().collect());
        let is =
            |part: &&&Value, kind: &str| part.get("type").and_then(Value::as_str) == Some(kind);
        let strips = |part: &&Value| match part.get("type").and_then(Value::as_str) {
            Some("Strip") => part.get("start").and_then(Value::as_u64) > Some(0),
            Some("Metaspace") => {
                part.get("prepend_scheme").and_then(Value::as_str) != Some("never")
            }
            _ => false,
        };
        Ok(Self {
            byte_level: parts.iter().any(|part| is(&part, "ByteLevel")),
            drops_leading_space: parts.iter().any(strips),
        })
    }

    fn bytes(&self, token: &str) -> Vec<u8> {
        if self.byte_level {
            bytes::byte_level(token)
        } else {
            bytes::sentencepiece(token)
        }
    }
}

/// The bytes of every token, in the order of ids.
fn collect_pieces(
    tokenizer: &tokenizers::Tokenizer,
    specials: &HashMap<u32, String>,
    decoding: &Decoding,
) -> Result<Pieces, String> {
    let added = tokenizer.get_added_tokens_decoder();
    let vocabulary = tokenizer.get_vocab(true);
    let count = vocabulary.values().max().map_or(0, |&id| id as usize + 1);
    if count > 4 * vocabulary.len() + 65_536 {
        return Err(format!(
            "token ids up to {count} for {} tokens",
            vocabulary.len()
        ));
    }
    let mut names: Vec<&str> = vec![""; count];
    for (name, &id) in &vocabulary {
        names[id as usize] = name;
    }
    Ok(Pieces::collect(names.into_iter().zip(0u32..).map(
        |(name, id)| match added.get(&id) {
            Some(token) => (
                token.content.clone().into_bytes(),
                specials.contains_key(&id),
            ),
            None => (decoding.bytes(name), false),
        },
    )))
}

/// The token that texts begin with: the one named, if the files say that they do, or else the control token that the
/// tokenizer's own post-processing puts first.
fn find_bos(
    tokenizer: &tokenizers::Tokenizer,
    parts: &TextParts,
    specials: &HashMap<u32, String>,
) -> Result<Option<u32>> {
    match parts.add_bos {
        Some(false) => Ok(None),
        Some(true) => Ok(parts
            .bos_token
            .as_deref()
            .and_then(|name| tokenizer.token_to_id(name))),
        None => {
            let processed = tokenizer.encode_fast("", true).map_err(fault)?;
            Ok(processed
                .get_ids()
                .first()
                .copied()
                .filter(|id| specials.contains_key(id)))
        }
    }
}

fn fault(error: impl ToString) -> Error {
    Error::Tokenizer(error.to_string())
}
