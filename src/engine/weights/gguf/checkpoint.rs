//! A GGUF file as a checkpoint: config, tokenizer and defaults from its metadata.

use super::vocabulary::{read_end_tokens, read_text};
use super::{Fault, Gguf, Metadata};
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::weights::{Checkpoint, ModelDefaults, TensorSource, exits, shapes, short_name};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use std::path::Path;

/// Opens a GGUF file of a Llama.
///
/// # Errors
///
/// If the file is damaged, or not a Llama that skiplens supports.
pub fn open(path: &Path) -> Result<Checkpoint> {
    let gguf = Gguf::open(path)?;
    require_llama(&gguf)?;
    let config = read_config(&gguf).map_err(|fault| gguf.fault(fault))?;
    config.check().map_err(|fault| gguf.fault(fault))?;
    shapes::check(&gguf, &config).map_err(|fault| gguf.fault(fault))?;
    let text = read_text(&gguf)?;
    let exits = exits::in_model(&gguf, &config).map_err(|fault| gguf.fault(fault))?;
    Checkpoint {
        name: read_name(&gguf),
        path: path.to_owned(),
        defaults: read_defaults(&gguf, &config).map_err(|fault| gguf.fault(fault))?,
        end_tokens: read_end_tokens(&gguf, &text)?,
        config,
        text,
        tensors: Box::new(gguf),
        exits: None,
    }
    .with_exits(exits)
}

/// Checks that skiplens supports the architecture.
pub fn require_llama(gguf: &Gguf) -> Result<()> {
    let name = gguf
        .metadata()
        .string("general.architecture")
        .map_err(|fault| gguf.fault(fault))?;
    match name {
        Some("llama") => Ok(()),
        Some(other) => Err(Error::Model(format!(
            "{}: a model of the architecture {other:?}; skiplens runs Llama models only (llama in GGUF files, \
             LlamaForCausalLM in Hugging Face folders)",
            gguf.path().display()
        ))),
        None => Err(gguf.fault("general.architecture is missing: not a language model")),
    }
}

/// `general.name`, else the name of the file.
fn read_name(gguf: &Gguf) -> String {
    let named = gguf
        .metadata()
        .string("general.name")
        .ok()
        .flatten()
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let stem = || {
        gguf.path()
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    named.map_or_else(stem, short_name)
}

fn read_config(gguf: &Gguf) -> Result<LlamaConfig, Fault> {
    let meta = gguf.metadata();
    refuse_variants(meta)?;
    let required = |key: &str| {
        meta.count(key)?
            .ok_or_else(|| format!("metadata {key} is missing"))
    };
    let hidden_size = required("llama.embedding_length")?;
    let num_heads = required("llama.attention.head_count")?;
    let vocab_size = match gguf.shape_of("token_embd.weight") {
        Some(&[rows, _]) => rows,
        _ => return Err("tensor token_embd.weight is missing: the file holds no model".into()),
    };
    Ok(LlamaConfig {
        vocab_size,
        hidden_size,
        intermediate_size: required("llama.feed_forward_length")?,
        num_layers: required("llama.block_count")?,
        num_heads,
        num_kv_heads: meta
            .count("llama.attention.head_count_kv")?
            .unwrap_or(num_heads),
        head_dim: read_head_dim(meta, hidden_size, num_heads)?,
        rms_norm_eps: meta
            .number("llama.attention.layer_norm_rms_epsilon")?
            .unwrap_or(1e-5),
        rope_theta: meta.number("llama.rope.freq_base")?.unwrap_or(10_000.0),
        rope_scaling: read_rope_scaling(gguf, meta)?,
        context_length: required("llama.context_length")?,
        tie_word_embeddings: gguf.shape_of("output.weight").is_none(),
    })
}

/// Rejects split files and mixtures of experts, which have the same architecture name.
fn refuse_variants(meta: Metadata) -> Result<(), Fault> {
    if let Some(files) = meta.count("split.count")?.filter(|&files| files > 1) {
        return Err(format!(
            "one of {files} files that make up a model; merge them with llama-gguf-split --merge"
        ));
    }
    match meta.count("llama.expert_count")? {
        None | Some(0) => Ok(()),
        Some(_) => Err("a mixture of experts, which skiplens does not run".into()),
    }
}

/// Elements of a head. They must be the same for keys, values and rotary embedding.
fn read_head_dim(meta: Metadata, hidden_size: usize, num_heads: usize) -> Result<usize, Fault> {
    let even = || hidden_size.checked_div(num_heads).unwrap_or(0);
    let size = meta
        .count("llama.attention.key_length")?
        .unwrap_or_else(even);
    for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
        if let Some(other) = meta.count(key)?.filter(|&other| other != size) {
            return Err(format!(
                "{key} is {other} while the heads have {size} elements, which skiplens does not run"
            ));
        }
    }
    Ok(size)
}

/// The product of the linear scaling in the metadata and the per-frequency factors in a tensor.
fn read_rope_scaling(gguf: &Gguf, meta: Metadata) -> Result<RopeScaling, Fault> {
    let factor = meta
        .number("llama.rope.scaling.factor")?
        .or(meta.number("llama.rope.scale_linear")?);
    let linear = match meta.string("llama.rope.scaling.type")? {
        Some("none") => 1.0,
        Some("linear") | None => factor.unwrap_or(1.0),
        Some(other) => {
            return Err(format!(
                "RoPE scaling of the type {other:?}, which skiplens does not run"
            ));
        }
    };
    if let Some(mut factors) = read_factors(gguf)? {
        factors.iter_mut().for_each(|x| *x *= linear as f32);
        return Ok(RopeScaling::Factors(factors));
    }
    Ok(if linear == 1.0 {
        RopeScaling::None
    } else {
        RopeScaling::Linear { factor: linear }
    })
}

/// `rope_freqs.weight`, the divisors of the rotary frequencies.
fn read_factors(gguf: &Gguf) -> Result<Option<Vec<f32>>, Fault> {
    let Some(tensor) = gguf
        .tensor("rope_freqs.weight")
        .map_err(|e| e.to_string())?
    else {
        return Ok(None);
    };
    if tensor.dtype != GgmlDType::F32 || tensor.shape.len() != 1 {
        return Err("tensor rope_freqs.weight is not a vector of F32".into());
    }
    let words = tensor.data.as_chunks::<4>().0;
    Ok(Some(
        words.iter().map(|&word| f32::from_le_bytes(word)).collect(),
    ))
}

/// Recommended settings, unless they are out of range for the model.
///
/// # Errors
/// If a recommendation has the wrong type.
pub fn read_defaults(gguf: &Gguf, config: &LlamaConfig) -> Result<ModelDefaults, Fault> {
    let meta = gguf.metadata();
    Ok(ModelDefaults {
        exit_layer: meta
            .count("skiplens.exit_layer")?
            .filter(|e| (1..config.num_layers).contains(e)),
        num_speculations: meta.count("skiplens.num_speculations")?.filter(|&k| k > 0),
        draft_vocab: meta
            .count("skiplens.draft_vocab")?
            .filter(|n| (1..=config.vocab_size).contains(n)),
    })
}
