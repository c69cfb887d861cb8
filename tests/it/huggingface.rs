//! Hugging Face folders.

use crate::support::tiny;
use candle_core::quantized::GgmlDType;
use skiplens::engine::config::RopeScaling;
use skiplens::engine::text::{ChatTemplate, Tokenizer};
use skiplens::engine::weights::{self, Checkpoint, Dtype, RawTensor};
use std::collections::BTreeMap;
use std::path::Path;

fn open(folder: &Path, dtype: &str) -> Checkpoint {
    weights::open(folder, dtype.parse().unwrap()).unwrap()
}

fn tensor<'a>(checkpoint: &'a Checkpoint, name: &str) -> RawTensor<'a> {
    checkpoint.tensors.tensor(name).unwrap().unwrap()
}

fn floats(tensor: &RawTensor) -> Vec<f32> {
    assert_eq!(tensor.dtype, GgmlDType::F32);
    tensor
        .data
        .chunks(4)
        .map(|word| f32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

#[test]
fn a_folder_opens_under_the_names_of_gguf() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let checkpoint = open(folder.path(), "auto");
    assert_eq!(checkpoint.end_tokens, [2, 7]);
    assert!(!checkpoint.config.tie_word_embeddings);
    assert_eq!(checkpoint.config.head_dim, 16);
    let original = tiny::huggingface_tensors();
    let down = tensor(&checkpoint, "blk.1.ffn_down.weight");
    assert_eq!(
        (down.shape.clone(), floats(&down)),
        original["model.layers.1.mlp.down_proj.weight"].clone()
    );
    let q = floats(&tensor(&checkpoint, "blk.0.attn_q.weight"));
    let source = &original["model.layers.0.self_attn.q_proj.weight"].1;
    let row =
        |values: &[f32], row: usize| values[row * tiny::HIDDEN..(row + 1) * tiny::HIDDEN].to_vec();
    for (here, there) in [
        (0, 0),
        (1, 8),
        (2, 1),
        (15, 15),
        (16, 16),
        (17, 24),
        (63, 63),
    ] {
        assert_eq!(row(&q, here), row(source, there), "row {here}");
    }
    assert!(
        checkpoint
            .tensors
            .tensor("blk.2.attn_q.weight")
            .unwrap()
            .is_none()
    );
}

#[test]
fn dtype_converts_matrices_only() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let types = |dtype: &str| {
        let checkpoint = open(folder.path(), dtype);
        let names = [
            "blk.0.attn_q.weight",
            "token_embd.weight",
            "blk.0.attn_norm.weight",
        ];
        names.map(|name| tensor(&checkpoint, name).dtype)
    };
    assert_eq!(
        types("auto"),
        [GgmlDType::F32, GgmlDType::F32, GgmlDType::F32]
    );
    assert_eq!(
        types("BF16"),
        [GgmlDType::BF16, GgmlDType::BF16, GgmlDType::F32]
    );
    assert_eq!(
        types("q4_0"),
        [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::F32]
    );
    assert_eq!(
        types("q6_k"),
        [GgmlDType::Q8_0, GgmlDType::Q8_0, GgmlDType::F32],
        "rows of 64 are no blocks of 256"
    );
    assert!(
        "q3".parse::<Dtype>()
            .unwrap_err()
            .to_string()
            .contains("q4_k")
    );
}

#[test]
fn quantised_values_are_close() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let (exact, coarse) = (open(folder.path(), "auto"), open(folder.path(), "q8_0"));
    let wanted = floats(&tensor(&exact, "blk.0.attn_k.weight"));
    let blocks = tensor(&coarse, "blk.0.attn_k.weight");
    for (block, wanted) in blocks.data.chunks(34).zip(wanted.chunks(32)) {
        let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
        for (&byte, &value) in block[2..].iter().zip(wanted) {
            assert!((f32::from(byte as i8) * scale - value).abs() < 0.004);
        }
    }
}

#[test]
fn shards_are_found_by_their_index() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let (first, second): (BTreeMap<_, _>, BTreeMap<_, _>) = tiny::huggingface_tensors()
        .into_iter()
        .partition(|(name, _)| name.contains("layers.0"));
    let mut map = serde_json::Map::new();
    for (nth, tensors) in [first, second].into_iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", nth + 1);
        std::fs::write(folder.path().join(&name), tiny::safetensors(&tensors)).unwrap();
        map.extend(
            tensors
                .into_keys()
                .map(|tensor| (tensor, name.clone().into())),
        );
    }
    let write = |map: &serde_json::Map<_, _>| {
        let index = serde_json::json!({ "weight_map": map }).to_string();
        std::fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
    };
    write(&map);
    tensor(&open(folder.path(), "auto"), "blk.1.ffn_up.weight");
    for hostile in ["../model.safetensors", "/etc/passwd", "missing.safetensors"] {
        map.insert("x".into(), hostile.into());
        write(&map);
        let error = weights::open(folder.path(), Dtype::Auto)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains(hostile) && error.contains("index.json"),
            "{error}"
        );
    }
}

/// The configuration with some keys replaced.
fn configured(changes: serde_json::Value) -> skiplens::engine::config::LlamaConfig {
    let mut json = tiny::config_json();
    json.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    skiplens::engine::config::hf::parse(&json, Path::new("config.json")).unwrap()
}

#[test]
fn rope_is_read_in_both_spellings() {
    let llama3 = RopeScaling::Llama3 {
        factor: 32.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192.0,
    };
    let parameters = serde_json::json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_theta": 500000.0});
    let old = configured(serde_json::json!({"rope_theta": 500000.0, "rope_scaling": parameters}));
    let new = configured(serde_json::json!({"rope_theta": null, "rope_parameters": parameters}));
    assert_eq!((&old.rope_scaling, old.rope_theta), (&llama3, 500_000.0));
    assert_eq!(old, new);
    let linear = configured(serde_json::json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
    assert_eq!(linear.rope_scaling, RopeScaling::Linear { factor: 2.0 });
    let defaults = configured(
        serde_json::json!({"num_key_value_heads": null, "rope_parameters": {"rope_type": "default"}}),
    );
    assert_eq!(
        (defaults.num_kv_heads, defaults.rope_scaling),
        (4, RopeScaling::None)
    );
}

#[test]
fn tokenizer_json_agrees_with_the_same_vocabulary_in_a_gguf() {
    let folder = tempfile::tempdir().unwrap();
    tiny::write_huggingface(folder.path());
    let other = folder.path().join("tiny.gguf");
    tiny::gguf().write(&other);
    let json = Tokenizer::from_checkpoint(&open(folder.path(), "auto")).unwrap();
    let gguf = Tokenizer::from_checkpoint(&open(&other, "auto")).unwrap();
    assert_eq!(
        (json.bos(), json.vocab_size()),
        (gguf.bos(), gguf.vocab_size())
    );
    for text in [
        "hello",
        "  the hello\n",
        "é🦙",
        "the<s>hello</s> t",
        "<s>",
        " ",
    ] {
        for special in [false, true] {
            let ids = json.encode(text, special).unwrap();
            assert_eq!(ids, gguf.encode(text, special).unwrap(), "{text:?}");
            assert_eq!(json.decode(&ids), gguf.decode(&ids));
        }
    }
    let template = ChatTemplate::from_checkpoint(&open(folder.path(), "auto")).unwrap();
    assert_eq!(template.render(&[]).unwrap(), "<s>hello");
}

#[test]
fn paths_that_are_no_model_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| weights::open(path, Dtype::Auto).err().unwrap().to_string();
    assert!(error(&folder.path().join("none")).contains("no such file"));
    assert!(error(folder.path()).contains("neither a config.json nor a GGUF"));
    let gguf = folder.path().join("a.gguf");
    tiny::gguf().write(&gguf);
    assert_eq!(open(folder.path(), "auto").name, "tiny");
    assert!(
        weights::open(&gguf, Dtype::Typed(GgmlDType::F16))
            .err()
            .unwrap()
            .to_string()
            .contains("--dtype")
    );
    tiny::gguf().write(&folder.path().join("b.gguf"));
    assert!(error(folder.path()).contains("name one"));
    std::fs::remove_file(&gguf).unwrap();
    std::fs::remove_file(folder.path().join("b.gguf")).unwrap();
    tiny::write_huggingface(folder.path());
    std::fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    assert!(error(folder.path()).contains("tokenizer.json is missing"));
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert!(error(folder.path()).contains("neither model.safetensors"));
}

/// Texts that begin with BOS and are separated by control tokens encode as in the library: with a space before each
/// text (Llama 2's first tokenizers), or only before the first (later ones).
#[test]
fn texts_between_control_tokens_are_encoded_as_the_library_does() {
    let mut later = tiny::tokenizer_json();
    later["normalizer"] = serde_json::Value::Null;
    later["pre_tokenizer"] = serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false});
    for json in [tiny::tokenizer_json(), later] {
        let folder = tempfile::tempdir().unwrap();
        tiny::write_huggingface(folder.path());
        std::fs::write(folder.path().join("tokenizer.json"), json.to_string()).unwrap();
        let ours = Tokenizer::from_checkpoint(&open(folder.path(), "auto")).unwrap();
        let library =
            tokenizers::Tokenizer::from_file(folder.path().join("tokenizer.json")).unwrap();
        for text in [
            "hello",
            "hello</s>hello",
            "<s>hello</s> the",
            "a<s><s>b",
            " the </s>",
            "héllo 🦙</s>\n",
        ] {
            let wanted = library.encode(text, false).unwrap();
            assert_eq!(
                ours.encode(text, true).unwrap(),
                wanted.get_ids(),
                "{text:?}"
            );
        }
    }
}
