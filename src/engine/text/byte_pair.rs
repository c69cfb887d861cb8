//! Byte-level BPE from a GGUF vocabulary.

use super::hf::{BpeParts, Encoder, Model, Words};
use super::spec::GgufVocabulary;
use crate::engine::{Error, Result};

/// Builds the encoder. `split` is the name of the rule that splits text into words.
pub fn build(vocabulary: &GgufVocabulary, merges: &[String], split: &str) -> Result<Encoder> {
    let (words, ignore_merges) = splitting_rule(split)?;
    let model = Model::bpe(BpeParts {
        vocab: vocabulary.tokens.iter().cloned().zip(0u32..).collect(),
        merges: split_merges(merges)?,
        ignore_merges,
        ..BpeParts::default()
    });
    Ok(Encoder::new(words, model.map_err(Error::Tokenizer)?))
}

/// The rule with this name, and whether words that are tokens skip the merges.
fn splitting_rule(name: &str) -> Result<(Words, bool)> {
    let (words, ignore_merges) = match name {
        "default" | "gpt-2" | "gpt2" => (Words::gpt2(false), false),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" => (Words::gpt2(true), false),
        "llama-bpe" | "llama3" | "llama-v3" => (Words::llama3(), true),
        other => {
            return Err(Error::Tokenizer(format!(
                "this model splits words by the rule {other:?}, which skiplens does not know; it knows llama-bpe, smollm \
                 and gpt-2"
            )));
        }
    };
    Ok((words.map_err(Error::Tokenizer)?, ignore_merges))
}

/// A merge is two tokens with a space between them; the first may itself begin with a space.
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
