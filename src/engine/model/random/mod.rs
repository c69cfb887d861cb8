//! Models with random weights: small ones for tests, and ones with the shapes of published models for measurements.

mod blocks;
mod named;
mod save;
mod shape;
mod vocabulary;

use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::splitmix::SplitMix64;
use crate::engine::weights::{Checkpoint, ModelDefaults, RawTensor, TensorSource};
use crate::engine::{Error, Result};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

pub use named::{PREFIX, RandomModel, agreement, find_scale};
pub use save::save;
pub use shape::NAMES;
use vocabulary::byte_vocabulary;

/// Tensors in memory, by GGUF name.
#[derive(Default)]
pub struct MemoryTensors(pub HashMap<String, (Vec<usize>, GgmlDType, Vec<u8>)>);

impl TensorSource for MemoryTensors {
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>> {
        Ok(self.0.get(name).map(|(shape, dtype, data)| RawTensor {
            shape: shape.clone(),
            dtype: *dtype,
            data: Cow::Borrowed(data),
        }))
    }
}

/// A shape that is small enough for tests: four layers and a vocabulary of 300.
pub fn small() -> LlamaConfig {
    LlamaConfig {
        vocab_size: 300,
        hidden_size: 64,
        intermediate_size: 96,
        num_layers: 4,
        num_heads: 4,
        num_kv_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 1000,
        tie_word_embeddings: true,
    }
}

/// A model with the shape `config` and weights determined by the seed, of type `dtype` or, if rows do not divide into
/// its blocks, f32. The layers add little to the residual stream, so that early exits sometimes agree.
///
/// # Errors
/// If quantising to the type is not supported.
pub fn checkpoint(config: &LlamaConfig, dtype: GgmlDType, seed: u64) -> Result<Checkpoint> {
    let mut tensors = MemoryTensors::default();
    let mut random = SplitMix64(seed);
    // Uniform in −1..1.
    let mut uniform = || (random.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    for (name, shape, spread) in shapes(config) {
        let n = shape.iter().product();
        let entry = if shape.len() == 1 {
            let data = (0..n)
                .flat_map(|_| (1.0 + 0.2 * uniform()).to_le_bytes())
                .collect();
            (shape, GgmlDType::F32, data)
        } else {
            let spread = spread / (shape[1] as f32).sqrt();
            let numbers = (0..n).map(|_| uniform() * spread).collect();
            let (dtype, data) = encode(numbers, &shape, dtype)?;
            (shape, dtype, data)
        };
        tensors.0.insert(name, entry);
    }
    Ok(Checkpoint {
        name: "random".into(),
        path: PathBuf::new(),
        config: config.clone(),
        text: byte_vocabulary(config.vocab_size),
        end_tokens: vec![2],
        tensors: Box::new(tensors),
        defaults: ModelDefaults::default(),
        exits: None,
    })
}

/// Every tensor of a Llama: name, shape, and the spread of its weights.
fn shapes(config: &LlamaConfig) -> Vec<(String, Vec<usize>, f32)> {
    let (vocab, hidden, inner) = (
        config.vocab_size,
        config.hidden_size,
        config.intermediate_size,
    );
    let (heads, kv) = (
        config.num_heads * config.head_dim,
        config.num_kv_heads * config.head_dim,
    );
    let mut all = vec![
        ("token_embd.weight".to_string(), vec![vocab, hidden], 4.0),
        ("output_norm.weight".to_string(), vec![hidden], 1.0),
    ];
    if !config.tie_word_embeddings {
        all.push(("output.weight".to_string(), vec![vocab, hidden], 4.0));
    }
    for i in 0..config.num_layers {
        let mut add = |name: &str, shape: Vec<usize>, spread| {
            all.push((format!("blk.{i}.{name}.weight"), shape, spread))
        };
        add("attn_norm", vec![hidden], 1.0);
        add("attn_q", vec![heads, hidden], 2.0);
        add("attn_k", vec![kv, hidden], 2.0);
        add("attn_v", vec![kv, hidden], 2.0);
        add("attn_output", vec![hidden, heads], 1.0);
        add("ffn_norm", vec![hidden], 1.0);
        add("ffn_gate", vec![inner, hidden], 2.0);
        add("ffn_up", vec![inner, hidden], 2.0);
        add("ffn_down", vec![hidden, inner], 1.0);
    }
    all
}

/// Numbers encoded as `dtype`, or as f32 if that is impossible.
fn encode(numbers: Vec<f32>, shape: &[usize], dtype: GgmlDType) -> Result<(GgmlDType, Vec<u8>)> {
    let cols = shape[shape.len() - 1];
    Ok(match dtype {
        GgmlDType::F16 => (
            dtype,
            numbers
                .iter()
                .flat_map(|&x| half::f16::from_f32(x).to_le_bytes())
                .collect(),
        ),
        GgmlDType::BF16 => (
            dtype,
            numbers
                .iter()
                .flat_map(|&x| half::bf16::from_f32(x).to_le_bytes())
                .collect(),
        ),
        _ if dtype == GgmlDType::F32 || !cols.is_multiple_of(dtype.block_size()) => (
            GgmlDType::F32,
            numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        _ => {
            let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu)?;
            (
                dtype,
                QTensor::quantize(&tensor, dtype)
                    .map_err(Error::Tensor)?
                    .data()?
                    .into_owned(),
            )
        }
    })
}
