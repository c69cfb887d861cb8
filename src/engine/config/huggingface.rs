//! `config.json` of a Hugging Face repository.

use super::{LlamaConfig, RopeScaling};
use crate::engine::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// Read the shape of a Llama. Fails for other architectures and for Llamas with parts that skiplens does not run.
pub fn parse(json: &Value, path: &Path) -> Result<LlamaConfig> {
    require_llama(json).map_err(|what| Error::Model(format!("{}: {what}", path.display())))?;
    let config = read(json).map_err(|fault| Error::file(path, fault))?;
    config.check().map_err(|fault| Error::file(path, fault))?;
    Ok(config)
}

/// What the model is if we cannot run it.
fn require_llama(json: &Value) -> Result<(), String> {
    const SUPPORTED: &str =
        "skiplens runs Llama models only (LlamaForCausalLM: Llama 1 to 3.2, CodeLlama, SmolLM2)";
    let architecture = json
        .get("architectures")
        .and_then(|list| list.get(0))
        .and_then(Value::as_str);
    let kind = json.get("model_type").and_then(Value::as_str);
    match (architecture, kind) {
        (Some("LlamaForCausalLM"), _) | (None, Some("llama")) => {}
        (Some(other), _) | (None, Some(other)) => {
            return Err(format!("a model of the architecture {other}; {SUPPORTED}"));
        }
        (None, None) => return Err(format!("it names no architecture; {SUPPORTED}")),
    }
    if json
        .get("quantization_config")
        .is_some_and(|value| !value.is_null())
    {
        return Err(
            "weights quantised by another program; use the original weights with --dtype, or a GGUF file".into()
        );
    }
    for key in ["attention_bias", "mlp_bias"] {
        if json.get(key).and_then(Value::as_bool) == Some(true) {
            return Err(format!("a Llama with {key}, which skiplens does not run"));
        }
    }
    match json.get("hidden_act").and_then(Value::as_str) {
        Some("silu" | "swish") | None => Ok(()),
        Some(other) => Err(format!(
            "a Llama with the activation {other}, which skiplens does not run"
        )),
    }
}

fn read(json: &Value) -> Result<LlamaConfig, String> {
    let required = |key: &str| count(json, key)?.ok_or_else(|| format!("{key} is missing"));
    let hidden_size = required("hidden_size")?;
    let num_heads = required("num_attention_heads")?;
    Ok(LlamaConfig {
        vocab_size: required("vocab_size")?,
        hidden_size,
        intermediate_size: required("intermediate_size")?,
        num_layers: required("num_hidden_layers")?,
        num_heads,
        num_kv_heads: count(json, "num_key_value_heads")?.unwrap_or(num_heads),
        head_dim: match count(json, "head_dim")? {
            Some(size) => size,
            None => hidden_size.checked_div(num_heads).unwrap_or(0),
        },
        rms_norm_eps: number(json, "rms_norm_eps")?.unwrap_or(1e-6),
        rope_theta: rope_theta(json)?,
        rope_scaling: rope_scaling(json)?,
        context_length: count(json, "max_position_embeddings")?.unwrap_or(2048),
        tie_word_embeddings: json
            .get("tie_word_embeddings")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

/// Transformers 5 keeps all that concerns RoPE in one object.
fn rope_parameters(json: &Value) -> Option<&Value> {
    json.get("rope_parameters")
        .filter(|value| value.is_object())
}

fn rope_theta(json: &Value) -> Result<f64, String> {
    let inner = rope_parameters(json).map_or(Ok(None), |inner| number(inner, "rope_theta"))?;
    Ok(inner.or(number(json, "rope_theta")?).unwrap_or(10_000.0))
}

fn rope_scaling(json: &Value) -> Result<RopeScaling, String> {
    let scaling = rope_parameters(json).or(json.get("rope_scaling"));
    let Some(scaling) = scaling.filter(|value| !value.is_null()) else {
        return Ok(RopeScaling::None);
    };
    let required =
        |key: &str| number(scaling, key)?.ok_or_else(|| format!("RoPE scaling without {key}"));
    match scaling
        .get("rope_type")
        .or(scaling.get("type"))
        .and_then(Value::as_str)
    {
        None | Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear {
            factor: required("factor")?,
        }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: required("factor")?,
            low_freq_factor: required("low_freq_factor")?,
            high_freq_factor: required("high_freq_factor")?,
            original_context: required("original_max_position_embeddings")?,
        }),
        Some(other) => Err(format!(
            "RoPE scaling of the type {other:?}, which skiplens does not run"
        )),
    }
}

fn count(json: &Value, key: &str) -> Result<Option<usize>, String> {
    let Some(value) = json.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
    count
        .map(Some)
        .ok_or_else(|| format!("{key} is {value}, not a count"))
}

fn number(json: &Value, key: &str) -> Result<Option<f64>, String> {
    let Some(value) = json.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    value
        .as_f64()
        .map(Some)
        .ok_or_else(|| format!("{key} is {value}, not a number"))
}
