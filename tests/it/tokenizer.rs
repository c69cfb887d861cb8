//! Tokenizers against other programs.

use crate::support;
use proptest::prelude::*;
use skiplens::engine::text::{TextStream, Tokenizer};
use skiplens::engine::weights::gguf::{self, Gguf};
use skiplens::engine::weights::{self, Dtype};
use std::fs;
use std::path::Path;

/// llama.cpp's own test cases for the vocabulary of Llama 2.
#[test]
fn sentencepiece_agrees_with_llama_cpp() {
    let Some(path) = support::shared("golden/ggml-vocab-llama-spm.gguf") else {
        return;
    };
    let tokenizer = vocabulary(&path);
    let inputs = fs::read_to_string(path.with_extension("gguf.inp")).unwrap();
    let outputs = fs::read_to_string(path.with_extension("gguf.out")).unwrap();
    let cases: Vec<_> = inputs
        .split("\n__ggml_vocab_test__\n")
        .zip(outputs.lines())
        .collect();
    assert_eq!(cases.len(), 46);
    for (text, expected) in cases {
        let expected: Vec<u32> = expected
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(ids, expected, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

/// SmolLM2's vocabulary against llama.cpp and Hugging Face's tokenizers. `tests/golden/smollm2_tokens.py` wrote the
/// file.
#[test]
fn byte_level_agrees_with_two_others() {
    let Some(path) = support::smollm2() else {
        return;
    };
    let tokenizer =
        Tokenizer::from_checkpoint(&weights::open(&path, Dtype::Auto).unwrap()).unwrap();
    let file = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/smollm2_tokens.jsonl"),
    )
    .unwrap();
    for line in file.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = case["text"].as_str().unwrap();
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokenizer.encode(text, false).unwrap(), expected, "{text:?}");
        // The vocabulary lacks some control characters, which every program drops.
        if !text
            .chars()
            .any(|c| c.is_ascii_control() && !c.is_whitespace())
        {
            assert_eq!(tokenizer.decode(&expected), text);
        }
    }
}

#[test]
fn llama2c_vocabulary_converts() {
    let (Some(model), Some(vocabulary)) = (
        support::shared("golden/stories260K.bin"),
        support::shared("golden/tok512.bin"),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stories.gguf");
    support::llama2c::to_gguf(&fs::read(model).unwrap(), &fs::read(vocabulary).unwrap())
        .write(&path);
    let checkpoint = weights::open(&path, Dtype::Auto).unwrap();
    assert_eq!(checkpoint.end_tokens, [2]);
    let tokenizer = Tokenizer::from_checkpoint(&checkpoint).unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.vocab_size()), (Some(1), 512));
    let text = "Once upon a time, there was a little girl named Lily.";
    assert_eq!(
        tokenizer.decode(&tokenizer.encode(text, false).unwrap()),
        text
    );
}

/// For any ids, the streamed parts concatenate to the decoded text.
fn stream_equals_decode(tokenizer: &Tokenizer, ids: &[u32]) {
    let mut stream = TextStream::new(tokenizer);
    let mut text = String::new();
    for (nth, &id) in ids.iter().enumerate() {
        let preview = stream.clone().push(id);
        let added = stream.push(id);
        assert_eq!(preview, added, "a preview changes nothing");
        let mut resumed = TextStream::with_context(tokenizer, &ids[..nth]);
        assert_eq!(resumed.push(id), added, "a stream can be resumed anywhere");
        text.push_str(&added);
    }
    text.push_str(&stream.finish());
    assert_eq!(text, tokenizer.decode(ids));
    let bytes: Vec<u8> = ids
        .iter()
        .flat_map(|&id| tokenizer.token_bytes(id))
        .collect();
    let whole = String::from_utf8_lossy(&bytes);
    assert!(
        whole == text || whole.strip_prefix(' ') == Some(&text),
        "{whole:?} {text:?}"
    );
}

fn vocabulary(path: &Path) -> Tokenizer {
    let gguf = Gguf::open(path).unwrap();
    Tokenizer::from_spec(&gguf::read_text(&gguf).unwrap(), usize::MAX).unwrap()
}

fn tiny() -> Tokenizer {
    built(support::tiny::gguf())
}

fn built(file: support::gguf::GgufBuilder) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    file.write(&path);
    vocabulary(&path)
}

/// Llama 3 splits numbers into groups of three, joins a space to the word after it, splits contractions, and adds BOS
/// unless told not to.
#[test]
fn llama3_words_are_split() {
    let tokenizer = built(support::tiny::gguf_byte_level());
    assert_eq!(
        tokenizer.bos().map(|id| tokenizer.piece(id)).as_deref(),
        Some("<|begin_of_text|>")
    );
    let pieces = |text: &str| -> Vec<String> {
        tokenizer
            .encode(text, true)
            .unwrap()
            .into_iter()
            .map(|id| tokenizer.piece(id))
            .collect()
    };
    assert_eq!(pieces("hello hello"), ["hello", " hello"]);
    assert_eq!(pieces("12312"), ["123", "12"], "not 12 312");
    assert_eq!(pieces("412"), ["4", "12"]);
    assert_eq!(
        pieces("4123"),
        ["4", "12", "3"],
        "412 is one word, 3 the next"
    );
    assert_eq!(
        pieces("hello<|eot_id|>hello"),
        ["hello", "<|eot_id|>", "hello"]
    );
    assert_eq!(pieces("é")[0], "\\xC3");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_of_any_ids_equal_the_whole(ids in prop::collection::vec(0u32..310, 0..80)) {
        stream_equals_decode(&tiny(), &ids);
    }

    #[test]
    fn streams_of_bytes_equal_the_whole(text in any::<Vec<u8>>()) {
        let ids: Vec<u32> = text.iter().map(|&byte| u32::from(byte) + 3).collect();
        stream_equals_decode(&tiny(), &ids);
    }

    #[test]
    fn any_text_survives(text in any::<String>()) {
        let tokenizer = tiny();
        prop_assert_eq!(tokenizer.decode(&tokenizer.encode(&text, false).unwrap()), text);
    }
}

#[test]
fn long_texts_without_a_break_are_encoded() {
    let tokenizers = [
        Some(tiny()),
        support::smollm2().map(|path| vocabulary(&path)),
    ];
    for tokenizer in tokenizers.into_iter().flatten() {
        for unit in [" ", "\n", "a", "1", "é", " \n"] {
            let text = unit.repeat(200_000);
            assert_eq!(
                tokenizer.decode(&tokenizer.encode(&text, true).unwrap()),
                text
            );
        }
    }
}

/// A token that a GGUF names as an end token is a control token, whatever type its converter gave it.
#[test]
fn ends_of_a_gguf_are_control_tokens() {
    for kind in [1, 3, 4] {
        let (mut tokens, mut kinds, scores) = support::tiny::sentencepiece_tokens();
        tokens[299] = "<end>".into();
        kinds[299] = kind;
        let file = support::gguf::GgufBuilder::default()
            .string("tokenizer.ggml.model", "llama")
            .strings("tokenizer.ggml.tokens", &tokens)
            .i32s("tokenizer.ggml.token_type", &kinds)
            .f32s("tokenizer.ggml.scores", &scores)
            .u32("tokenizer.ggml.eos_token_id", 299);
        let tokenizer = built(file);
        assert!(tokenizer.is_special(299), "{kind}");
        assert!(tokenizer.encode("a<end>", true).unwrap().contains(&299));
        assert!(!tokenizer.encode("a<end>", false).unwrap().contains(&299));
        assert_eq!(tokenizer.decode(&[299]), "");
    }
}

#[test]
fn control_tokens_are_recognised_on_request() {
    let tokenizer = tiny();
    let ids = tokenizer.encode("<s>hello</s>", true).unwrap();
    assert_eq!((ids.first(), ids.last()), (Some(&1), Some(&2)));
    assert_eq!(tokenizer.decode(&ids), "hello");
    let plain = tokenizer.encode("<s>hello</s>", false).unwrap();
    assert!(!plain.iter().any(|&id| tokenizer.is_special(id)));
    assert_eq!(tokenizer.decode(&plain), "<s>hello</s>");
    let mut named = TextStream::new(&tokenizer).keep_special(true);
    assert_eq!(
        ids.iter().map(|&id| named.push(id)).collect::<String>(),
        "<s>hello</s>"
    );
}

#[test]
fn pieces_can_be_read() {
    let tokenizer = tiny();
    let pieces: Vec<_> = [1, 3 + 0xE2, 3 + b'a' as u32, 9999]
        .map(|id| tokenizer.piece(id))
        .to_vec();
    assert_eq!(pieces, ["<s>", "\\xE2", "a", "[9999]"]);
}
