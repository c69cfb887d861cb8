//! Tiny models of every file format, complete but untrained.

use super::gguf::GgufBuilder;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// Sizes of the tiny models: two layers, four heads, two key-value heads.
pub const LAYERS: usize = 2;
pub const HIDDEN: usize = 64;
pub const WIDTH: usize = 96;
pub const VOCAB: usize = 300;
pub const KV: usize = 32;

/// Deterministic pseudo-random numbers.
pub fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(next).collect()
}

/// Tokens of a SentencePiece vocabulary: control tokens, all bytes, letters and a few words.
pub fn sentencepiece_tokens() -> (Vec<String>, Vec<i32>, Vec<f32>) {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    let mut kinds = vec![2, 3, 3];
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    kinds.resize(tokens.len(), 6);
    tokens.extend("▁ a b c d e h l o t r".split(' ').map(str::to_owned));
    tokens.extend(["he", "ll", "llo", "hello", "▁hello", "▁t", "▁the"].map(str::to_owned));
    tokens.extend((tokens.len()..VOCAB).map(|id| format!("unused{id}")));
    kinds.resize(VOCAB, 1);
    let scores = (0..VOCAB).map(|id| -(id as f32)).collect();
    (tokens, kinds, scores)
}

/// Names and row-major shapes of a layer's tensors in GGUF.
fn layer_tensors() -> [(&'static str, Vec<usize>); 9] {
    [
        ("attn_norm", vec![HIDDEN]),
        ("attn_q", vec![HIDDEN, HIDDEN]),
        ("attn_k", vec![KV, HIDDEN]),
        ("attn_v", vec![KV, HIDDEN]),
        ("attn_output", vec![HIDDEN, HIDDEN]),
        ("ffn_norm", vec![HIDDEN]),
        ("ffn_gate", vec![WIDTH, HIDDEN]),
        ("ffn_up", vec![WIDTH, HIDDEN]),
        ("ffn_down", vec![HIDDEN, WIDTH]),
    ]
}

/// The shape of the tiny models as metadata.
fn gguf_shape(name: &str) -> GgufBuilder {
    GgufBuilder::default()
        .string("general.architecture", "llama")
        .string("general.name", name)
        .u32("llama.embedding_length", HIDDEN as u32)
        .u32("llama.feed_forward_length", WIDTH as u32)
        .u32("llama.block_count", LAYERS as u32)
        .u32("llama.attention.head_count", 4)
        .u32("llama.attention.head_count_kv", 2)
        .u32("llama.context_length", 128)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .u32("skiplens.exit_layer", 1)
}

/// The metadata of a tiny GGUF without its tensors.
pub fn gguf_metadata() -> GgufBuilder {
    let template = "{% for m in messages %}{{ m.content }}</s>{% endfor %}";
    gguf_text("tiny", &sentencepiece_tokens().0, template)
}

/// A tiny GGUF with `text` wherever a file can contain text: the name, the error of the chat template, and many tokens.
pub fn gguf_saying(text: &str) -> GgufBuilder {
    let mut tokens = sentencepiece_tokens().0;
    for (nth, token) in tokens.iter_mut().enumerate().skip(VOCAB / 2) {
        *token = format!("{text}{nth}");
    }
    let template = format!("{{{{ raise_exception('{text}') }}}}");
    with_tensors(gguf_text(text, &tokens, &template))
}

fn gguf_text(name: &str, tokens: &[String], template: &str) -> GgufBuilder {
    let (_, kinds, scores) = sentencepiece_tokens();
    gguf_shape(name)
        .string("tokenizer.ggml.model", "llama")
        .strings("tokenizer.ggml.tokens", tokens)
        .i32s("tokenizer.ggml.token_type", &kinds)
        .f32s("tokenizer.ggml.scores", &scores)
        .u32("tokenizer.ggml.bos_token_id", 1)
        .u32("tokenizer.ggml.eos_token_id", 2)
        .bool("tokenizer.ggml.add_bos_token", true)
        .string("tokenizer.chat_template", template)
}

/// A tiny GGUF with tied LM head.
pub fn gguf() -> GgufBuilder {
    with_tensors(gguf_metadata())
}

/// The same with a byte-level vocabulary like Llama 3's: all bytes, a few merges, two control tokens.
pub fn gguf_byte_level() -> GgufBuilder {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    let shifted = (0..=255u8)
        .filter(|byte| !printable(byte))
        .zip('\u{100}'..)
        .map(|(_, c)| c.to_string());
    let mut tokens: Vec<String> = (0..=255u8)
        .filter(printable)
        .map(|byte| char::from(byte).to_string())
        .collect();
    tokens.extend(shifted);
    let merges = ["h e", "l l", "ll o", "he llo", "Ġ hello", "1 2", "12 3"];
    tokens.extend(merges.map(|merge| merge.replace(' ', "")));
    let mut kinds = vec![1; tokens.len()];
    tokens.extend(["<|begin_of_text|>", "<|eot_id|>"].map(str::to_owned));
    kinds.extend([3, 3]);
    let bos = tokens.len() as u32 - 2;
    let file = gguf_shape("tiny")
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "llama-bpe")
        .strings("tokenizer.ggml.tokens", &tokens)
        .strings("tokenizer.ggml.merges", &merges)
        .i32s("tokenizer.ggml.token_type", &kinds)
        .u32("tokenizer.ggml.bos_token_id", bos)
        .u32("tokenizer.ggml.eos_token_id", bos + 1);
    with_tensors(file)
}

fn with_tensors(mut file: GgufBuilder) -> GgufBuilder {
    for layer in 0..LAYERS {
        for (nth, (name, shape)) in layer_tensors().into_iter().enumerate() {
            let values = noise(shape.iter().product(), (layer * 16 + nth) as u32);
            file = file.tensor_f32(&format!("blk.{layer}.{name}.weight"), &shape, &values);
        }
    }
    file.tensor_f32("output_norm.weight", &[HIDDEN], &noise(HIDDEN, 90))
        .tensor_f32(
            "token_embd.weight",
            &[VOCAB, HIDDEN],
            &noise(VOCAB * HIDDEN, 91),
        )
}

/// Tensors of a tiny model under Hugging Face's names: shape and values.
pub fn huggingface_tensors() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    const MODULES: [&str; 9] = [
        "input_layernorm",
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "post_attention_layernorm",
        "mlp.gate_proj",
        "mlp.up_proj",
        "mlp.down_proj",
    ];
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: Vec<usize>| {
        let values = noise(shape.iter().product(), tensors.len() as u32);
        tensors.insert(name, (shape, values));
    };
    for layer in 0..LAYERS {
        for (module, (_, shape)) in MODULES.iter().zip(layer_tensors()) {
            add(format!("model.layers.{layer}.{module}.weight"), shape);
        }
    }
    add("model.embed_tokens.weight".into(), vec![VOCAB, HIDDEN]);
    add("model.norm.weight".into(), vec![HIDDEN]);
    add("lm_head.weight".into(), vec![VOCAB, HIDDEN]);
    tensors
}

/// A safetensors file with these tensors.
pub fn safetensors(tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) -> Vec<u8> {
    let bytes = |values: &[f32]| {
        values
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let data: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, values))| (name, shape.clone(), bytes(values)))
        .collect();
    let views = data.iter().map(|(name, shape, data)| {
        (
            *name,
            TensorView::new(Dtype::F32, shape.clone(), data).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

/// `config.json` of the tiny model.
pub fn config_json() -> serde_json::Value {
    serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "torch_dtype": "float32", "bos_token_id": 1, "eos_token_id": 2,
    })
}

/// `tokenizer.json` like Llama 2's: SentencePiece's BPE by ranks, with byte fallback.
pub fn tokenizer_json() -> serde_json::Value {
    let (tokens, _, _) = sentencepiece_tokens();
    let vocab: serde_json::Map<_, _> = tokens
        .iter()
        .cloned()
        .zip((0..VOCAB).map(Into::into))
        .collect();
    let special = |id: usize| {
        serde_json::json!({"id": id, "content": tokens[id], "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": ["h e", "l l", "ll o", "he llo", "▁ hello", "▁ t", "▁t he"]},
    })
}

/// Writes the tiny model as a Hugging Face folder.
pub fn write_huggingface(folder: &Path) {
    let write = |name: &str, value: &serde_json::Value| {
        std::fs::write(folder.join(name), value.to_string()).unwrap()
    };
    write("config.json", &config_json());
    write(
        "generation_config.json",
        &serde_json::json!({"eos_token_id": [2, 7]}),
    );
    write("tokenizer.json", &tokenizer_json());
    write(
        "tokenizer_config.json",
        &serde_json::json!({"bos_token": {"content": "<s>"}, "eos_token": "</s>",
            "chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{{ bos_token }}hello"}]}),
    );
    std::fs::write(
        folder.join("model.safetensors"),
        safetensors(&huggingface_tensors()),
    )
    .unwrap();
}
