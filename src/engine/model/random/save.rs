//! Writes a checkpoint as a Hugging Face folder, so that other programs can run the same weights.

use super::shapes;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::kernels::{Arena, Packed};
use crate::engine::model::load;
use crate::engine::weights::{Checkpoint, RawTensor};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use half::f16;
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes `config.json` and `model.safetensors` to `folder`, which is created. The checkpoint's matrices have the type
/// `dtype`; quantised ones are written as F16. No tokenizer is written.
///
/// # Errors
/// If a file of that name exists or cannot be written.
pub fn save(checkpoint: &Checkpoint, dtype: GgmlDType, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    let path = folder.join("model.safetensors");
    let file = File::create_new(&path).map_err(|error| Error::io(&path, error))?;
    let config_path = folder.join("config.json");
    let config = config_json(&checkpoint.config).to_string();
    fs::write(&config_path, config).map_err(|error| Error::io(&config_path, error))?;
    let mut out = BufWriter::new(file);
    write(checkpoint, dtype, &mut out).and_then(|written| {
        written
            .and_then(|()| out.flush())
            .map_err(|error| Error::io(&path, error))
    })
}

/// Writes all tensors. The outer error is about a tensor, the inner one about the file.
fn write(
    checkpoint: &Checkpoint,
    dtype: GgmlDType,
    out: &mut impl Write,
) -> Result<std::io::Result<()>> {
    let config = &checkpoint.config;
    let all = shapes(config);
    let mut header = Map::new();
    let mut offset = 0;
    for (name, shape, _) in &all {
        let stored = match (shape.len(), dtype.block_size()) {
            (1, _) => GgmlDType::F32,
            (_, 1) => dtype,
            _ => GgmlDType::F16,
        };
        let bytes = shape.iter().product::<usize>() * stored.type_size();
        header.insert(
            hugging_face_name(name),
            json!({
                "dtype": crate::engine::weights::type_name(stored),
                "shape": shape,
                "data_offsets": [offset, offset + bytes],
            }),
        );
        offset += bytes;
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut send = |bytes: &[u8]| out.write_all(bytes);
    if let Err(error) =
        send(&(header.len() as u64).to_le_bytes()).and_then(|()| send(header.as_bytes()))
    {
        return Ok(Err(error));
    }
    for (name, shape, _) in &all {
        let tensor = load::raw(&*checkpoint.tensors, name, shape)?;
        let rows = if shape.len() == 1 { 1 } else { shape[0] };
        let dense = dense(name, &tensor, rows)?;
        let row_bytes = dense.len() / rows;
        for row in 0..rows {
            let from = row_in_gguf(name, row, config.head_dim);
            if let Err(error) = send(&dense[from * row_bytes..][..row_bytes]) {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}

/// The elements of a tensor as written to the file.
fn dense(name: &str, tensor: &RawTensor<'_>, rows: usize) -> Result<Vec<u8>> {
    if tensor.dtype.block_size() == 1 {
        return Ok(tensor.data.to_vec());
    }
    let cols = tensor.shape.iter().product::<usize>() / rows;
    let mut arena = Arena::default();
    let packed = Packed::new(name, tensor.dtype, rows, cols, &tensor.data, &mut arena)?;
    let mut numbers = vec![0.0; cols];
    let mut bytes = Vec::with_capacity(rows * cols * 2);
    for row in 0..rows {
        packed.row(row, &mut numbers);
        bytes.extend(numbers.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
    }
    Ok(bytes)
}

/// The row of q or k in GGUF order: rotary pairs are adjacent here, and half a head apart at Hugging Face.
fn row_in_gguf(name: &str, row: usize, head_dim: usize) -> usize {
    if !(name.contains("attn_q") || name.contains("attn_k")) {
        return row;
    }
    let (head, i, half) = (row / head_dim, row % head_dim, head_dim / 2);
    head * head_dim + i % half * 2 + i / half
}

fn hugging_face_name(name: &str) -> String {
    let mut parts = name.split('.');
    let inner = match (parts.next(), parts.next(), parts.next()) {
        (Some("blk"), Some(layer), Some(part)) => {
            let part = match part {
                "attn_norm" => "input_layernorm",
                "attn_q" => "self_attn.q_proj",
                "attn_k" => "self_attn.k_proj",
                "attn_v" => "self_attn.v_proj",
                "attn_output" => "self_attn.o_proj",
                "ffn_norm" => "post_attention_layernorm",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" => "mlp.up_proj",
                _ => "mlp.down_proj",
            };
            format!("layers.{layer}.{part}")
        }
        (Some("token_embd"), ..) => "embed_tokens".into(),
        (Some("output_norm"), ..) => "norm".into(),
        _ => return "lm_head.weight".into(),
    };
    format!("model.{inner}.weight")
}

fn config_json(config: &LlamaConfig) -> Value {
    let scaling = match config.rope_scaling {
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_context,
        } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_context as u64,
        }),
        _ => Value::Null,
    };
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling,
        "max_position_embeddings": config.context_length,
        "tie_word_embeddings": config.tie_word_embeddings,
        "bos_token_id": 1,
        "eos_token_id": 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::random;
    use crate::engine::weights::{self, Dtype};

    /// The folder lacks only a tokenizer to be loadable.
    #[test]
    fn a_saved_model_has_the_same_weights() {
        for dtype in [GgmlDType::F16, GgmlDType::Q8_0] {
            let saved = random::checkpoint(&random::small(), dtype, 3).unwrap();
            let folder = tempfile::tempdir().unwrap();
            save(&saved, dtype, folder.path()).unwrap();
            assert!(
                save(&saved, dtype, folder.path()).is_err(),
                "nothing is replaced"
            );
            let tokenizer = json!({
                "model": {"type": "BPE", "vocab": {"<s>": 1, "</s>": 2, "a": 3}, "merges": []},
            });
            fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
            let read = weights::open(folder.path(), Dtype::Auto).unwrap();
            assert_eq!(read.config, saved.config);
            for (name, shape, _) in shapes(&saved.config) {
                let [ours, theirs] = [&saved, &read].map(|checkpoint| {
                    let tensor = load::raw(&*checkpoint.tensors, &name, &shape).unwrap();
                    let rows = if shape.len() == 1 { 1 } else { shape[0] };
                    dense(&name, &tensor, rows).unwrap()
                });
                assert!(ours == theirs, "{name}");
            }
        }
    }
}
