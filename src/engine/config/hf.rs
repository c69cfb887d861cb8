//! `config.json` of a Hugging Face repository.

use super::{LlamaConfig, RopeScaling};
use crate::engine::{Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Reads the shape of a Llama.
///
/// # Errors
///
/// If the model is not a Llama, or uses a feature that skiplens does not support.
pub fn parse(json: &Value, path: &Path) -> Result<LlamaConfig> {
    require_llama(json).map_err(|what| Error::Model(format!("{}: {what}", path.display())))?;
    let config = read(json).map_err(|fault| Error::file(path, fault))?;
    config.check().map_err(|fault| Error::file(path, fault))?;
    Ok(config)
}

/// Checks that skiplens supports this architecture; the error describes the model.
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
        (None, None) => return Err(format!("its architecture is missing; {SUPPORTED}")),
    }
    // Older exporters write the second name.
    let quantised = |key: &str| json.get(key).is_some_and(|value| !value.is_null());
    if quantised("quantization_config") || quantised("compression_config") {
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
    let context_length = count(json, "max_position_embeddings")?.unwrap_or(2048);
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
        rope_scaling: rope_scaling(json, context_length)?,
        context_length,
        tie_word_embeddings: json
            .get("tie_word_embeddings")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

/// The RoPE parameters. As in transformers 5, the old key takes precedence unless it is empty. `None` if both are
/// empty.
fn rope(json: &Value) -> Option<&Value> {
    let says_something = |key: &str| {
        json.get(key)
            .filter(|value| !value.is_null() && !value.as_object().is_some_and(Map::is_empty))
    };
    says_something("rope_scaling").or_else(|| says_something("rope_parameters"))
}

/// The RoPE base, from the RoPE parameters or the top level.
fn rope_theta(json: &Value) -> Result<f64, String> {
    let inner = rope(json).map_or(Ok(None), |rope| number(rope, "rope_theta"))?;
    Ok(inner.or(number(json, "rope_theta")?).unwrap_or(10_000.0))
}

fn rope_scaling(json: &Value, context_length: usize) -> Result<RopeScaling, String> {
    let Some(rope) = rope(json) else {
        return Ok(RopeScaling::None);
    };
    if !rope.is_object() {
        return Err(format!("RoPE scaling is {rope}, not an object"));
    }
    let required =
        |key: &str| number(rope, key)?.ok_or_else(|| format!("RoPE scaling without {key}"));
    let kind = ["rope_type", "type"]
        .iter()
        .find_map(|key| rope.get(key).filter(|value| !value.is_null()));
    let scaling = match kind.map(|kind| kind.as_str().unwrap_or_default()) {
        None | Some("default") => return Ok(RopeScaling::None),
        Some("linear") => RopeScaling::Linear {
            factor: required("factor")?,
        },
        Some("llama3") => RopeScaling::Llama3 {
            factor: required("factor")?,
            low_freq_factor: required("low_freq_factor")?,
            high_freq_factor: required("high_freq_factor")?,
            original_context: original_context(json, rope, context_length)?,
        },
        Some(other) => {
            return Err(format!(
                "RoPE scaling of the type {other:?}, which skiplens does not run"
            ));
        }
    };
    // Without scaling, transformers ignores it.
    for place in [rope, json] {
        if number(place, "partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
            return Err("RoPE over a part of each head, which skiplens does not run".into());
        }
    }
    Ok(scaling)
}

/// The context length before scaling. The top level takes precedence over the RoPE parameters; the default is the
/// current context length.
fn original_context(json: &Value, rope: &Value, context_length: usize) -> Result<f64, String> {
    const KEY: &str = "original_max_position_embeddings";
    let said = match number(json, KEY)? {
        Some(outer) => Some(outer),
        None => number(rope, KEY)?,
    };
    Ok(said.unwrap_or(context_length as f64))
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
