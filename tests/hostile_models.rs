//! Damaged and hostile model files: an error that names the file and the fault, never a panic, never much memory.

#[path = "it/support/mod.rs"]
mod support;

use proptest::prelude::*;
use skiplens::engine::text::{ChatTemplate, Tokenizer};
use skiplens::engine::weights::{self, Dtype};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use support::gguf::GgufBuilder;
use support::tiny;
use support::tokenizers::{Dice, hostile};

/// Bytes in use, and their peak since the current file was opened.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts allocated bytes.
struct Counting;

// SAFETY: every call is forwarded to the system's allocator, which meets the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Max bytes in use. The files of these tests have a few hundred kilobytes.
const MAX_MEMORY: usize = 48 << 20;

/// Held while a file is opened, because the allocator counts for the whole process and tests run on several threads.
static ONE_FILE: Mutex<()> = Mutex::new(());

/// The text that tokenizers encode.
const TEXT: &str = "hello the </s>\n aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab<s>c  é 中 1.AB <1>";

static GGUF: LazyLock<Vec<u8>> = LazyLock::new(|| tiny::gguf().bytes());
static BYTE_LEVEL: LazyLock<Vec<u8>> = LazyLock::new(|| tiny::gguf_byte_level().bytes());
static SAFETENSORS: LazyLock<Vec<u8>> =
    LazyLock::new(|| tiny::safetensors(&tiny::huggingface_tensors()));

/// Opens a model and reads all of it. Returns its error, if any.
fn open_whole(path: &Path, dtype: Dtype) -> Result<(), String> {
    let _one = ONE_FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = weights::open(path, dtype).and_then(|checkpoint| {
        for layer in 0..checkpoint.config.num_layers {
            for name in ["attn_norm", "attn_q", "attn_k", "ffn_down"] {
                let tensor = checkpoint
                    .tensors
                    .tensor(&format!("blk.{layer}.{name}.weight"))?
                    .expect("it was checked");
                let size =
                    weights::gguf::byte_size(&tensor.shape, tensor.dtype).expect("it was checked");
                assert_eq!(size, tensor.data.len() as u64);
            }
        }
        if let Some(template) = ChatTemplate::from_checkpoint(&checkpoint) {
            // An empty conversation may be an error; it must not hang or panic.
            let _ = template.render(&[]);
        }
        let tokenizer = Tokenizer::from_checkpoint(&checkpoint)?;
        for text in [TEXT, &TEXT.repeat(40)] {
            for special in [false, true] {
                let ids = tokenizer.encode(text, special)?;
                tokenizer.decode(&ids);
            }
        }
        Ok(())
    });
    let used = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(used < MAX_MEMORY, "{used} bytes of memory");
    result.map_err(|e| e.to_string())
}

fn open_gguf(bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, bytes).unwrap();
    open_whole(&path, Dtype::Auto)
}

/// A folder with these weights and otherwise valid files.
fn open_safetensors(bytes: &[u8], dtype: Dtype) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    open_whole(folder.path(), dtype)
}

/// The undamaged files open, so that the tests below test the damage.
#[test]
fn sound_files_open() {
    open_gguf(&GGUF).unwrap();
    open_gguf(&BYTE_LEVEL).unwrap();
    for dtype in ["auto", "f16", "bf16", "q8_0", "q4_k"] {
        open_safetensors(&SAFETENSORS, dtype.parse().unwrap()).unwrap();
    }
}

/// One way to damage a file.
#[derive(Debug, Clone)]
enum Damage {
    Truncate(usize),
    Set {
        at: usize,
        byte: u8,
    },
    /// A number in place of a length, count or offset.
    Number {
        at: usize,
        value: u64,
        wide: bool,
    },
    Cut {
        at: usize,
        length: usize,
    },
    Repeat {
        at: usize,
        length: usize,
    },
}

/// Damage, mostly in the first `header` bytes, because data may be any bytes.
fn damage(header: usize) -> impl Strategy<Value = Damage> {
    let at = move || prop_oneof![8 => 0..header, 1 => 0..64usize];
    let value = prop_oneof![
        any::<u64>(),
        (0u32..64).prop_map(|bit| 1u64 << bit),
        (0u32..64).prop_map(|bit| (1u64 << bit).wrapping_sub(1)),
        (0u64..64).prop_map(|n| u64::MAX - n),
        0u64..1000,
    ];
    prop_oneof![
        (0..2 * header).prop_map(Damage::Truncate),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set { at, byte }),
        (at(), value, any::<bool>()).prop_map(|(at, value, wide)| Damage::Number {
            at,
            value,
            wide
        }),
        (at(), 1..64usize).prop_map(|(at, length)| Damage::Cut { at, length }),
        (at(), 1..64usize).prop_map(|(at, length)| Damage::Repeat { at, length }),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let size = bytes.len();
    match *damage {
        Damage::Truncate(length) => bytes.truncate(length),
        Damage::Set { at, byte } if at < size => bytes[at] = byte,
        Damage::Number { at, value, wide } => {
            let width = if wide { 8 } else { 4 };
            if at + width <= size {
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        Damage::Cut { at, length } if at < size => drop(bytes.drain(at..size.min(at + length))),
        Damage::Repeat { at, length } if at < size => {
            let copy = bytes[at..size.min(at + length)].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {}
    }
}

/// Bytes before the first tensor's data.
fn header_of_gguf() -> usize {
    tiny::gguf_metadata().bytes().len() + 1500
}

fn header_of_safetensors() -> usize {
    8 + u64::from_le_bytes(SAFETENSORS[..8].try_into().unwrap()) as usize
}

fn named(result: Result<(), String>) {
    if let Err(error) = result {
        assert!(
            error.contains("model") || error.contains("tokenizer") || error.contains("template"),
            "{error}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gguf_files_are_refused_or_read(damages in prop::collection::vec(damage(header_of_gguf()), 1..4)) {
        let mut bytes = GGUF.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        named(open_gguf(&bytes));
    }

    #[test]
    fn damaged_byte_level_vocabularies_are_refused_or_read(
        damages in prop::collection::vec(damage(header_of_gguf()), 1..4),
    ) {
        let mut bytes = BYTE_LEVEL.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        named(open_gguf(&bytes));
    }

    #[test]
    fn damaged_safetensors_are_refused_or_read(damages in prop::collection::vec(damage(header_of_safetensors()), 1..4)) {
        let mut bytes = SAFETENSORS.clone();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        if let Err(error) = open_safetensors(&bytes, Dtype::Auto) {
            prop_assert!(error.contains("/"), "it names the file: {}", error);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_json_is_refused_or_read(nth in 0..3usize, damages in prop::collection::vec(damage(4000), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        tiny::write_huggingface(folder.path());
        let path = folder.path().join(["config.json", "tokenizer.json", "tokenizer_config.json"][nth]);
        let mut bytes = std::fs::read(&path).unwrap();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = open_whole(folder.path(), Dtype::Auto) {
            prop_assert!(error.contains("/") || error.contains("tokenizer"), "{}", error);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tokenizers that no program would write give an error or tokens, and never panic or hang.
    #[test]
    fn hostile_tokenizers_are_refused_or_run(seed: u64) {
        let folder = tempfile::tempdir().unwrap();
        tiny::write_huggingface(folder.path());
        let json = hostile(&mut Dice::new(seed));
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        if let Err(error) = open_whole(folder.path(), Dtype::Auto) {
            prop_assert!(error.contains("tokenizer"), "{}", error);
        }
    }
}

/// A few ids of a very long token would make an arbitrarily large text.
#[test]
fn tokens_of_unusual_length_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let long = "a".repeat(100_000);
    let model =
        serde_json::json!({"type": "Unigram", "unk_id": 0, "vocab": [[long, -1.0], ["b", -2.0]]});
    let json = serde_json::json!({"model": model, "added_tokens": []});
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let error = open_whole(folder.path(), Dtype::Auto).unwrap_err();
    assert!(error.contains("token 0 has 100000 bytes"), "{error}");
}

/// Automata of added tokens take memory by their normalized spellings.
#[test]
fn added_tokens_that_normalization_makes_long_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let added: Vec<_> = (0..2000)
        .map(|id| serde_json::json!({"id": id, "content": format!("<{id}>"), "normalized": true}))
        .collect();
    let json = serde_json::json!({
        "added_tokens": added,
        "normalizer": {"type": "Replace", "pattern": {"Regex": "a??"}, "content": "x".repeat(1000)},
        "model": {"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"},
    });
    std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
    let error = open_whole(folder.path(), Dtype::Auto).unwrap_err();
    assert!(error.contains("its normalizer makes"), "{error}");
}

/// Asserts that the error for a GGUF contains these words.
#[track_caller]
fn refused(file: GgufBuilder, words: &str) {
    refused_bytes(&file.bytes(), words);
}

#[track_caller]
fn refused_bytes(bytes: &[u8], words: &str) {
    let error = open_gguf(bytes).unwrap_err();
    assert!(
        error.contains(words) && error.contains("model.gguf"),
        "{error}"
    );
}

/// A tiny GGUF with some bytes of its header replaced.
fn patched(at: usize, value: u64) -> Vec<u8> {
    let mut bytes = GGUF.clone();
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn gguf_faults_are_named() {
    refused_bytes(b"", "empty");
    refused_bytes(b"GG", "not a GGUF file");
    refused_bytes(b"<!DOCTYPE html>", "not a GGUF file");
    refused_bytes(b"GGUF\x01\0\0\0", "version 1");
    refused_bytes(b"GGUF\0\0\0\x03", "big-endian");
    refused_bytes(&GGUF[..100], "more than it can hold");
    refused_bytes(&GGUF[..3000], "truncated");
    refused_bytes(&GGUF[..GGUF.len() - 1], "outside of the file");
    refused_bytes(&patched(8, u64::MAX), "tensors, more than it can hold");
    refused_bytes(
        &patched(16, 1 << 40),
        "metadata entries, more than it can hold",
    );
    refused_bytes(&patched(24, u64::MAX), "truncated");
    refused(tiny::gguf_metadata(), "token_embd.weight is missing");
    refused(
        GgufBuilder::default().string("general.architecture", "llama"),
        "is missing",
    );
    refused(
        GgufBuilder::default().string("general.architecture", "gemma3"),
        "\"gemma3\"",
    );
    refused(tiny::gguf().u32("llama.context_length", 1), "occurs twice");
    refused(
        tiny::gguf().u32("general.alignment", 3),
        "general.alignment",
    );
    refused(
        tiny::gguf().u32("llama.expert_count", 8),
        "mixture of experts",
    );
    refused(tiny::gguf().u32("split.count", 3), "one of 3 files");
    refused(
        tiny::gguf().string("llama.rope.scaling.type", "yarn"),
        "yarn",
    );
    refused(
        tiny::gguf().f32("llama.rope.freq_base", f32::NAN),
        "llama.rope.freq_base",
    );
    refused(tiny::gguf().u32("llama.attention.key_length", 7), "is odd");
}

#[test]
fn tensor_faults_are_named() {
    let tensor =
        |shape: &[usize], kind: u32| tiny::gguf().tensor("extra", shape, kind, vec![0; 64]);
    refused(
        tensor(&[1 << 40, 1 << 40], 0),
        "no F32 tensor can have the shape",
    );
    refused(tensor(&[1 << 60], 0), "outside of the file");
    refused(tensor(&[0, 4], 0), "no F32 tensor");
    refused(tensor(&[1, 1, 1, 1, 1], 0), "5 dimensions");
    refused(tensor(&[2, 33], 8), "no Q8_0 tensor");
    refused(tensor(&[2, 32], 23), "IQ4_XS");
    refused(tensor(&[2, 32], 77), "unknown type 77");
    refused(
        tiny::gguf().tensor_f32("token_embd.weight", &[2], &[0.0; 2]),
        "occurs twice",
    );
    refused(
        tiny::gguf().tensor_f32("output.weight", &[2, 2], &[0.0; 4]),
        "output.weight has the shape [2, 2]",
    );
    refused(
        tiny::gguf().tensor_f32("blk.1.attn_q.bias", &[2], &[0.0; 2]),
        "biases",
    );
    refused(
        tiny::gguf().tensor_f32("rope_freqs.weight", &[2], &[1.0; 2]),
        "RoPE scaling",
    );
}

/// Tensors never overlap, whatever the layer count, so the size of the file bounds the loaded weights.
#[test]
fn tensors_that_share_bytes_are_refused() {
    let rows = tiny::VOCAB * tiny::HIDDEN;
    let last = tiny::gguf().tensor_f32("x", &[64], &[0.0; 64]);
    let inside = last.clone().tensor_at("y", &[8], 0, 32);
    refused(inside, "share bytes");
    refused(
        last.clone()
            .tensor_at("output.weight", &[tiny::VOCAB, tiny::HIDDEN], 0, 0),
        "share bytes",
    );
    let mut many = last;
    for layer in 2..2000 {
        many = many.tensor_at(
            &format!("blk.{layer}.attn_q.weight"),
            &[rows / 64, 64],
            0,
            0,
        );
    }
    refused(many, "share bytes");
}

#[test]
fn names_from_files_are_truncated_in_errors() {
    let long = "x".repeat(1 << 20);
    let error = open_gguf(
        &GgufBuilder::default()
            .string("general.architecture", &long)
            .bytes(),
    );
    assert!(error.unwrap_err().len() < 4000);
    let error = with_config("hidden_act", long.clone().into());
    assert!(error.len() < 4000 && error.contains("xxx"));
    let error = with_config("rms_norm_eps", serde_json::json!([long]));
    assert!(error.len() < 4000 && error.contains("rms_norm_eps"));
}

/// A file with this header and number of data bytes.
fn header(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn safetensors_faults_are_named() {
    let entry = |shape: &str, offsets: &str| {
        header(
            &format!(
                r#"{{"lm_head.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#
            ),
            16,
        )
    };
    let cases = [
        (b"".to_vec(), "empty"),
        (b"abc".to_vec(), "not a safetensors file"),
        (
            u64::MAX.to_le_bytes().to_vec(),
            "a header of 18446744073709551615 bytes",
        ),
        (header("{", 0), "damaged safetensors header"),
        (header("[]", 0), "damaged safetensors header"),
        (entry("[4]", "[0,18446744073709551615]"), "claims the bytes"),
        (
            entry("[4611686018427387904,4]", "[0,16]"),
            "damaged safetensors header",
        ),
        (entry("[5]", "[0,16]"), "damaged safetensors header"),
        (entry("[4]", "[16,0]"), "claims the bytes"),
        (entry("[4]", "[0,16]"), "is missing"),
        (
            SAFETENSORS[..SAFETENSORS.len() - 1].to_vec(),
            "damaged safetensors header",
        ),
    ];
    for (bytes, words) in cases {
        let error = open_safetensors(&bytes, Dtype::Auto).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// The error of opening a folder with one key of `config.json` changed.
fn with_config(key: &str, value: serde_json::Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let mut config = tiny::config_json();
    config[key] = value;
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    open_whole(folder.path(), Dtype::Auto).map_or_else(|error| error, |()| "it opened".into())
}

#[test]
fn configurations_are_checked_against_the_tensors() {
    let huge = u32::MAX;
    for key in [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_hidden_layers",
        "head_dim",
    ] {
        let error = with_config(key, huge.into());
        assert!(error != "it opened", "{key}");
        assert!(with_config(key, 0.into()) != "it opened", "{key}");
        assert!(with_config(key, (-1).into()).contains(key), "{key}");
    }
    assert!(with_config("num_key_value_heads", 3.into()).contains("cannot share"));
    assert!(with_config("max_position_embeddings", huge.into()).contains("context length"));
    assert!(
        with_config("architectures", serde_json::json!(["MistralForCausalLM"]))
            .contains("MistralForCausalLM")
    );
    assert!(with_config("attention_bias", true.into()).contains("attention_bias"));
    assert!(
        with_config("quantization_config", serde_json::json!({"bits": 4})).contains("quantised")
    );
    assert!(with_config("rope_scaling", serde_json::json!({"type": "yarn"})).contains("yarn"));
}
