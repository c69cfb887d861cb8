//! The vocabulary of random models, and the files that describe it in a Hugging Face folder.

use crate::engine::text::{GgufVocabulary, TokenKind, TokenMerging, TokenizerSpec, Vocabulary};
use crate::engine::{Error, Result};
use serde_json::{Map, Value, json};

/// A vocabulary of `size` tokens: unknown, begin, end, up to 256 bytes, and unused ones.
pub fn byte_vocabulary(size: usize) -> TokenizerSpec {
    let token = |id: usize| match id {
        0 => ("<unk>".to_owned(), TokenKind::Unknown),
        1 => ("<s>".to_owned(), TokenKind::Control),
        2 => ("</s>".to_owned(), TokenKind::Control),
        3..259 => (format!("<0x{:02X}>", id - 3), TokenKind::Byte),
        _ => (format!("<unused{id}>"), TokenKind::Unused),
    };
    let (tokens, kinds): (Vec<_>, Vec<_>) = (0..size).map(token).unzip();
    let merging = TokenMerging::Scored {
        scores: vec![0.0; size],
        add_space_prefix: false,
    };
    TokenizerSpec {
        vocabulary: Vocabulary::Gguf(GgufVocabulary {
            tokens,
            kinds,
            merging,
        }),
        bos_token: Some("<s>".into()),
        eos_token: Some("</s>".into()),
        add_bos: Some(true),
        chat_template: None,
    }
}

/// The files of a Hugging Face folder that make the same tokenizer as a [`byte_vocabulary`], by their names: byte pair
/// encoding without merges, which falls back to bytes.
///
/// # Errors
/// If the vocabulary is another one.
pub fn tokenizer_files(
    spec: &TokenizerSpec,
    context_length: usize,
) -> Result<[(&'static str, Value); 3]> {
    let Vocabulary::Gguf(vocabulary) = &spec.vocabulary else {
        return Err(Error::Model(
            "only the tokenizer of a random model can be saved".into(),
        ));
    };
    let id = |name: &Option<String>| {
        let name = name.as_ref()?;
        vocabulary.tokens.iter().position(|token| token == name)
    };
    let (bos, eos) = (&spec.bos_token, &spec.eos_token);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": special_tokens(vocabulary),
        // A SentencePiece space (▁) is a space.
        "normalizer": {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
        "pre_tokenizer": null,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": bos, "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {
                (bos.clone().unwrap_or_default()): {"id": bos, "ids": [id(bos)], "tokens": [bos]},
            },
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}],
        },
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": name_of(vocabulary, TokenKind::Unknown),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": ids(vocabulary),
            "merges": [],
        },
    });
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "unk_token": name_of(vocabulary, TokenKind::Unknown),
        "add_bos_token": spec.add_bos,
        "clean_up_tokenization_spaces": false,
        "model_max_length": context_length,
    });
    let generation = json!({"bos_token_id": id(bos), "eos_token_id": id(eos)});
    Ok([
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", config),
        ("generation_config.json", generation),
    ])
}

fn ids(vocabulary: &GgufVocabulary) -> Map<String, Value> {
    let tokens = vocabulary.tokens.iter().cloned();
    tokens.zip((0u32..).map(Value::from)).collect()
}

/// The first token of a kind.
fn name_of(vocabulary: &GgufVocabulary, kind: TokenKind) -> Option<&String> {
    let at = vocabulary.kinds.iter().position(|other| *other == kind)?;
    vocabulary.tokens.get(at)
}

fn special_tokens(vocabulary: &GgufVocabulary) -> Vec<Value> {
    let tokens = vocabulary.tokens.iter().zip(&vocabulary.kinds).enumerate();
    let special =
        tokens.filter(|(_, (_, kind))| matches!(kind, TokenKind::Control | TokenKind::Unknown));
    special
        .map(|(id, (content, _))| {
            json!({
                "id": id,
                "content": content,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": true,
            })
        })
        .collect()
}
