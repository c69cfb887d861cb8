//! Byte-level BPE out of a GGUF vocabulary.

use super::parts::{GgufVocabulary, TokenKind};
use crate::engine::{Error, Result};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// How Llama 3 splits text into words.
const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Build the tokenizer. `split` is the file's name for the rule that splits text into words.
pub fn build(vocabulary: &GgufVocabulary, merges: &[String], split: &str) -> Result<Tokenizer> {
    let (words, ignore_merges) = splitting_rule(split)?;
    let ids = vocabulary.tokens.iter().cloned().zip(0u32..);
    let model = BPE::builder()
        .vocab_and_merges(ids.collect::<Vocab>(), split_merges(merges)?)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(|e| Error::Tokenizer(e.to_string()))?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(words));
    add_tokens(&mut tokenizer, vocabulary);
    Ok(tokenizer)
}

/// The rule of that name, and whether a word that is a token needs no merges.
fn splitting_rule(name: &str) -> Result<(PreTokenizerWrapper, bool)> {
    let gpt2 = || PreTokenizerWrapper::from(ByteLevel::new(false, true, true));
    Ok(match name {
        "default" | "gpt-2" | "gpt2" => (gpt2(), false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => (
            Sequence::new(vec![Digits::new(true).into(), gpt2()]).into(),
            false,
        ),
        "llama-bpe" | "llama3" | "llama-v3" => {
            let words = Split::new(
                SplitPattern::Regex(LLAMA3_WORDS.to_owned()),
                SplitDelimiterBehavior::Isolated,
                false,
            );
            let words = words.map_err(|e| Error::Tokenizer(e.to_string()))?;
            (
                Sequence::new(vec![
                    words.into(),
                    ByteLevel::new(false, true, false).into(),
                ])
                .into(),
                true,
            )
        }
        other => {
            return Err(Error::Tokenizer(format!(
                "this model splits words by the rule {other:?}, which skiplens does not know; it knows llama-bpe, smollm \
                 and gpt-2"
            )));
        }
    })
}

/// Merges are two tokens with a space between them; the first may itself begin with one.
fn split_merges(merges: &[String]) -> Result<Vec<(String, String)>> {
    let split = |merge: &String| {
        let rest = merge
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == ' ')
            .map(|(at, _)| at)?;
        Some((merge[..rest].to_owned(), merge[rest + 1..].to_owned()))
    };
    let bad =
        |merge: &String| Error::Tokenizer(format!("the merge {merge:?} does not name two tokens"));
    merges
        .iter()
        .map(|merge| split(merge).ok_or_else(|| bad(merge)))
        .collect()
}

/// Make control tokens and user-defined ones whole.
fn add_tokens(tokenizer: &mut Tokenizer, vocabulary: &GgufVocabulary) {
    let of_kind = |kind: TokenKind| {
        vocabulary
            .tokens
            .iter()
            .zip(&vocabulary.kinds)
            .filter(move |(_, k)| **k == kind)
    };
    let control: Vec<_> = of_kind(TokenKind::Control)
        .map(|(t, _)| AddedToken::from(t.clone(), true))
        .collect();
    let user: Vec<_> = of_kind(TokenKind::UserDefined)
        .map(|(t, _)| AddedToken::from(t.clone(), false).normalized(false))
        .collect();
    tokenizer.add_special_tokens(&control);
    tokenizer.add_tokens(&user);
}
