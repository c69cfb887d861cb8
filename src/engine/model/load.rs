//! Tensors of a checkpoint, checked against its config.

use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::kernels::{Arena, Packed};
use crate::engine::weights::{RawTensor, TensorSource};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;

/// Fails on a config that no Llama has, so that nothing behind it divides by zero or overflows.
pub fn check(config: &LlamaConfig) -> Result<()> {
    let sizes = [
        ("vocab_size", config.vocab_size, 1 << 24),
        ("hidden_size", config.hidden_size, 1 << 20),
        ("intermediate_size", config.intermediate_size, 1 << 22),
        ("num_layers", config.num_layers, 1 << 12),
        ("num_heads", config.num_heads, 1 << 12),
        ("num_kv_heads", config.num_kv_heads, 1 << 12),
        ("head_dim", config.head_dim, 1 << 12),
        ("context_length", config.context_length, 1 << 30),
    ];
    for (name, value, most) in sizes {
        if value == 0 || value > most {
            return Err(Error::Model(format!(
                "{name} of the model is {value}; it must be between 1 and {most}"
            )));
        }
    }
    let (heads, kv_heads, dim) = (config.num_heads, config.num_kv_heads, config.head_dim);
    if !heads.is_multiple_of(kv_heads) {
        return Err(Error::Model(format!(
            "{heads} attention heads cannot share {kv_heads} key-value heads evenly"
        )));
    }
    if !dim.is_multiple_of(2) {
        return Err(Error::Model(format!(
            "a head of {dim} elements cannot be rotated in pairs"
        )));
    }
    let sound = |x: f64| x.is_finite() && x > 0.0;
    let rope = match &config.rope_scaling {
        RopeScaling::None => true,
        RopeScaling::Linear { factor } => sound(*factor),
        RopeScaling::Factors(factors) => {
            factors.len() == dim / 2 && factors.iter().all(|&f| sound(f64::from(f)))
        }
        &RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => {
            [factor, low_freq_factor, high_freq_factor, original_context]
                .into_iter()
                .all(sound)
                && high_freq_factor > low_freq_factor
        }
    };
    if !rope
        || !sound(config.rope_theta)
        || !config.rms_norm_eps.is_finite()
        || config.rms_norm_eps < 0.0
    {
        return Err(Error::Model(
            "the rotary embedding or the norm of the model has impossible constants".into(),
        ));
    }
    Ok(())
}

/// The tensor `name`, which must have that shape.
pub fn raw<'a>(source: &'a dyn TensorSource, name: &str, shape: &[usize]) -> Result<RawTensor<'a>> {
    let Some(tensor) = source.tensor(name)? else {
        return Err(Error::Model(format!("the model has no tensor {name}")));
    };
    if tensor.shape != shape {
        return Err(Error::Model(format!(
            "{name} has shape {:?}; the model's config wants {shape:?}",
            tensor.shape
        )));
    }
    Ok(tensor)
}

/// A matrix, packed for the CPU kernels.
pub fn matrix(
    source: &dyn TensorSource,
    name: &str,
    rows: usize,
    cols: usize,
    arena: &mut Arena,
) -> Result<Packed> {
    let tensor = raw(source, name, &[rows, cols])?;
    Packed::new(name, tensor.dtype, rows, cols, &tensor.data, arena)
}

/// A vector as f32.
pub fn vector(source: &dyn TensorSource, name: &str, n: usize) -> Result<Vec<f32>> {
    let tensor = raw(source, name, &[n])?;
    if !matches!(
        tensor.dtype,
        GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16
    ) {
        return Err(Error::Model(format!(
            "{name} is of type {:?}, where f32, f16 or bf16 is wanted",
            tensor.dtype
        )));
    }
    let mut out = vec![0.0; n];
    Packed::new(
        name,
        tensor.dtype,
        1,
        n,
        &tensor.data,
        &mut Arena::default(),
    )?
    .row(0, &mut out);
    Ok(out)
}
