//! Reads the tokenizer from the metadata of a file.

use super::{Fault, Gguf, Metadata};
use crate::engine::Result;
use crate::engine::text::{
    GgufVocabulary, TokenKind, TokenMerging, TokenizerSpec, Vocabulary, turn_ends,
};

/// Reads the vocabulary and the chat template.
///
/// # Errors
///
/// If they are missing, damaged or not supported.
pub fn read_text(gguf: &Gguf) -> Result<TokenizerSpec> {
    read_parts(gguf.metadata()).map_err(|fault| gguf.fault(fault))
}

/// The ids that end a text or a turn.
pub fn read_end_tokens(gguf: &Gguf, text: &TokenizerSpec) -> Result<Vec<u32>> {
    let named = named_ids(gguf.metadata(), &["eos", "eot", "eom"]);
    let mut ids = named.map_err(|fault| gguf.fault(fault))?;
    if let Vocabulary::Gguf(vocabulary) = &text.vocabulary {
        ids.extend(turn_ends(vocabulary.control_tokens()));
        ids.retain(|&id| (id as usize) < vocabulary.tokens.len());
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The ids in the metadata for these purposes, such as `eos`.
fn named_ids(meta: Metadata, purposes: &[&str]) -> Result<Vec<u32>, Fault> {
    let mut ids = Vec::new();
    for purpose in purposes {
        ids.extend(meta.token_id(&format!("tokenizer.ggml.{purpose}_token_id"))?);
    }
    Ok(ids)
}

fn read_parts(meta: Metadata) -> Result<TokenizerSpec, Fault> {
    let mut vocabulary = read_vocabulary(meta)?;
    vocabulary.mark_control(&named_ids(meta, &["bos", "eos", "eot", "eom"])?);
    let name_of = |key: &str| -> Result<Option<String>, Fault> {
        let Some(id) = meta.token_id(key)? else {
            return Ok(None);
        };
        let token = vocabulary.tokens.get(id as usize);
        token
            .cloned()
            .map(Some)
            .ok_or_else(|| format!("{key} is {id}, outside of the vocabulary"))
    };
    let bos_token = name_of("tokenizer.ggml.bos_token_id")?;
    let eos_token = name_of("tokenizer.ggml.eos_token_id")?;
    let add_bos = meta.flag("tokenizer.ggml.add_bos_token")?;
    Ok(TokenizerSpec {
        // The defaults of llama.cpp.
        add_bos: add_bos.or(Some(vocabulary.begins_with_bos())),
        vocabulary: Vocabulary::Gguf(vocabulary),
        bos_token,
        eos_token,
        chat_template: meta.string("tokenizer.chat_template")?.map(str::to_owned),
    })
}

fn read_vocabulary(meta: Metadata) -> Result<GgufVocabulary, Fault> {
    let tokens = meta
        .strings("tokenizer.ggml.tokens")?
        .ok_or("tokenizer.ggml.tokens is missing")?;
    let kinds = match meta.integers("tokenizer.ggml.token_type")? {
        Some(kinds) => kinds.into_iter().map(TokenKind::from_ggml).collect(),
        None => vec![TokenKind::Normal; tokens.len()],
    };
    let merging = match meta.string("tokenizer.ggml.model")? {
        Some("gpt2") => TokenMerging::Ranked {
            merges: meta
                .strings("tokenizer.ggml.merges")?
                .ok_or("tokenizer.ggml.merges is missing")?,
            split: meta
                .string("tokenizer.ggml.pre")?
                .unwrap_or("default")
                .to_owned(),
        },
        Some("llama") => TokenMerging::Scored {
            scores: meta
                .floats("tokenizer.ggml.scores")?
                .ok_or("tokenizer.ggml.scores is missing")?,
            add_space_prefix: meta
                .flag("tokenizer.ggml.add_space_prefix")?
                .unwrap_or(true),
        },
        Some(other) => {
            return Err(format!(
                "a tokenizer of the kind {other:?}; skiplens reads gpt2 and llama"
            ));
        }
        None => return Err("tokenizer.ggml.model is missing".into()),
    };
    let vocabulary = GgufVocabulary {
        tokens,
        kinds,
        merging,
    };
    vocabulary.check()?;
    Ok(vocabulary)
}
