//! Checks the tensors of a file against its configuration. This runs before any allocation, so that absurd sizes in a
//! configuration do no harm.

use super::TensorSource;
use crate::engine::config::LlamaConfig;

/// The tensors of a layer and their shapes; `None` if the sizes overflow.
pub fn block_shapes(config: &LlamaConfig) -> Option<[(&'static str, Vec<usize>); 9]> {
    let hidden = config.hidden_size;
    let width = config.intermediate_size;
    let queries = config.num_heads.checked_mul(config.head_dim)?;
    let keys = config.num_kv_heads.checked_mul(config.head_dim)?;
    Some([
        ("attn_norm", vec![hidden]),
        ("attn_q", vec![queries, hidden]),
        ("attn_k", vec![keys, hidden]),
        ("attn_v", vec![keys, hidden]),
        ("attn_output", vec![hidden, queries]),
        ("ffn_norm", vec![hidden]),
        ("ffn_gate", vec![width, hidden]),
        ("ffn_up", vec![width, hidden]),
        ("ffn_down", vec![hidden, width]),
    ])
}

/// Compares every tensor of the model with the configuration.
///
/// # Errors
///
/// If a tensor is missing or has the wrong shape, or a layer has biases; the message names the first such tensor.
pub fn check(tensors: &dyn TensorSource, config: &LlamaConfig) -> Result<(), String> {
    let embedding = vec![config.vocab_size, config.hidden_size];
    expect(tensors, "token_embd.weight", &embedding)?;
    expect(tensors, "output_norm.weight", &[config.hidden_size])?;
    if !config.tie_word_embeddings {
        expect(tensors, "output.weight", &embedding)?;
    }
    let shapes = block_shapes(config).ok_or("its sizes overflow")?;
    for layer in 0..config.num_layers {
        for (name, shape) in &shapes {
            expect(tensors, &format!("blk.{layer}.{name}.weight"), shape)?;
            let bias = format!("blk.{layer}.{name}.bias");
            if shape_of(tensors, &bias)?.is_some() {
                let bias = tensors.name_in_file(&bias);
                return Err(format!(
                    "tensor {bias}: skiplens does not run Llamas with biases"
                ));
            }
        }
    }
    Ok(())
}

fn shape_of(tensors: &dyn TensorSource, name: &str) -> Result<Option<Vec<usize>>, String> {
    tensors.shape(name).map_err(|e| e.to_string())
}

fn expect(tensors: &dyn TensorSource, name: &str, shape: &[usize]) -> Result<(), String> {
    let file_name = || tensors.name_in_file(name);
    match shape_of(tensors, name)? {
        None => Err(format!(
            "tensor {} is missing; is the file complete?",
            file_name()
        )),
        Some(found) if found != shape => Err(format!(
            "tensor {} has the shape {found:?}, but the configuration says {shape:?}",
            file_name()
        )),
        Some(_) => Ok(()),
    }
}
