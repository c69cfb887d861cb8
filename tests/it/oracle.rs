//! The forward pass against candle-transformers' Llama, which shares no code with it.

use crate::support::forward;
use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama;
use skiplens::engine::config::{LlamaConfig, RopeScaling};
use skiplens::engine::model::{self, CandleModel, Model, random};
use skiplens::engine::weights::Checkpoint;
use std::collections::HashMap;

/// Grouped-query, multi-query and multi-head attention, tied and untied, Llama 3's RoPE.
fn shapes() -> Vec<LlamaConfig> {
    let base = LlamaConfig {
        vocab_size: 97,
        hidden_size: 64,
        intermediate_size: 96,
        num_layers: 3,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 128,
        tie_word_embeddings: true,
    };
    vec![
        base.clone(),
        LlamaConfig {
            num_heads: 8,
            num_kv_heads: 1,
            head_dim: 8,
            tie_word_embeddings: false,
            ..base.clone()
        },
        LlamaConfig {
            hidden_size: 48,
            num_heads: 3,
            num_kv_heads: 3,
            intermediate_size: 80,
            rope_theta: 500_000.0,
            ..base.clone()
        },
        LlamaConfig {
            rope_scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_context: 32.0,
            },
            tie_word_embeddings: false,
            ..base
        },
    ]
}

/// Names of a layer's tensors in GGUF and in Hugging Face files.
const LAYER: [(&str, &str); 9] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// A tensor of an F32 checkpoint.
fn tensor(checkpoint: &Checkpoint, name: &str) -> Tensor {
    let raw = checkpoint.tensors.tensor(name).unwrap().unwrap();
    Tensor::from_raw_buffer(&raw.data, DType::F32, &raw.shape, &Device::Cpu).unwrap()
}

/// GGUF rotates adjacent pairs, Hugging Face pairs i with i + half, so the rows of q and k are in a different order.
fn halves_apart(matrix: &Tensor, head_dim: usize) -> Tensor {
    let (rows, _) = matrix.dims2().unwrap();
    let order: Vec<u32> = (0..rows)
        .map(|row| {
            let (head, i) = (row / head_dim, row % head_dim);
            let pair = i % (head_dim / 2);
            (head * head_dim + 2 * pair + i / (head_dim / 2)) as u32
        })
        .collect();
    let order = Tensor::new(order, &Device::Cpu).unwrap();
    matrix.index_select(&order, 0).unwrap()
}

fn oracle(checkpoint: &Checkpoint) -> (llama::Llama, llama::Config) {
    let ours = &checkpoint.config;
    let rope_scaling = match ours.rope_scaling {
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => Some(llama::Llama3RopeConfig {
            factor: factor as f32,
            low_freq_factor: low_freq_factor as f32,
            high_freq_factor: high_freq_factor as f32,
            original_max_position_embeddings: original_context as usize,
            rope_type: llama::Llama3RopeType::Llama3,
        }),
        _ => None,
    };
    let config = llama::Config {
        hidden_size: ours.hidden_size,
        intermediate_size: ours.intermediate_size,
        vocab_size: ours.vocab_size,
        num_hidden_layers: ours.num_layers,
        num_attention_heads: ours.num_heads,
        num_key_value_heads: ours.num_kv_heads,
        use_flash_attn: false,
        rms_norm_eps: ours.rms_norm_eps,
        rope_theta: ours.rope_theta as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling,
        max_position_embeddings: ours.context_length,
        tie_word_embeddings: ours.tie_word_embeddings,
    };
    let mut all = HashMap::from([
        (
            "model.embed_tokens.weight".to_owned(),
            tensor(checkpoint, "token_embd.weight"),
        ),
        (
            "model.norm.weight".to_owned(),
            tensor(checkpoint, "output_norm.weight"),
        ),
    ]);
    if !ours.tie_word_embeddings {
        all.insert("lm_head.weight".into(), tensor(checkpoint, "output.weight"));
    }
    for layer in 0..ours.num_layers {
        for (here, there) in LAYER {
            let mut weights = tensor(checkpoint, &format!("blk.{layer}.{here}.weight"));
            if matches!(here, "attn_q" | "attn_k") {
                weights = halves_apart(&weights, ours.head_dim);
            }
            all.insert(format!("model.layers.{layer}.{there}.weight"), weights);
        }
    }
    let weights = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
    (llama::Llama::load(weights, &config).unwrap(), config)
}

/// Max difference of two rows of logits, relative to the max logit.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    let size = b.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max) / size
}

#[test]
fn logits_are_those_of_candle_transformers() {
    for (seed, config) in (1..).zip(shapes()) {
        let checkpoint = random::checkpoint(&config, GgmlDType::F32, seed).unwrap();
        let ids: Vec<u32> = (0..50).map(|i| (i * i * 5 + 3 * i + 1) % 97).collect();
        let (oracle, oracle_config) = oracle(&checkpoint);
        let kernels = model::load(&checkpoint, &Device::Cpu, Some(2), &mut |_| ()).unwrap();
        let candle = CandleModel::load(&checkpoint, &Device::Cpu, &mut |_| ()).unwrap();
        let models: [&dyn Model; 2] = [&*kernels, &candle];
        let all = models.map(|model| {
            let mut sequence = model.sequence(ids.len()).unwrap();
            forward::logits(model, &mut *sequence, &ids)
        });
        for n in [1, 7, 50] {
            let mut cache =
                llama::Cache::new(false, DType::F32, &oracle_config, &Device::Cpu).unwrap();
            let text = Tensor::new(&ids[..n], &Device::Cpu)
                .unwrap()
                .unsqueeze(0)
                .unwrap();
            let want = oracle.forward(&text, 0, &mut cache).unwrap();
            let want: Vec<f32> = want.flatten_all().unwrap().to_vec1().unwrap();
            for (model, logits) in models.iter().zip(&all) {
                let apart = difference(&logits[n - 1], &want);
                // The kernels store keys and values in F16.
                assert!(
                    apart < 4e-3,
                    "{config:?} on {}: {apart}",
                    model.device_name()
                );
            }
        }
    }
}
