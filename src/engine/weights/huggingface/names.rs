//! Hugging Face's names of a Llama's tensors as GGUF's.

/// The GGUF name, or none for a tensor that a Llama does not need.
pub fn to_gguf(name: &str) -> Option<String> {
    let inner = name.strip_prefix("model.").unwrap_or(name);
    match inner {
        "embed_tokens.weight" => return Some("token_embd.weight".into()),
        "norm.weight" => return Some("output_norm.weight".into()),
        "lm_head.weight" => return Some("output.weight".into()),
        _ => {}
    }
    let (layer, rest) = inner.strip_prefix("layers.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (module, kind) = rest.rsplit_once('.')?;
    let module = match module {
        "input_layernorm" => "attn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "post_attention_layernorm" => "ffn_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    matches!(kind, "weight" | "bias").then(|| format!("blk.{layer}.{module}.{kind}"))
}

/// Order of the rows of q and k. Hugging Face rotates a head's first half against its second, GGUF neighbours: row `2i`
/// of a head is row `i` there, and row `2i + 1` is row `i + head_dim / 2`.
pub fn interleaved(row: usize, head_dim: usize) -> usize {
    let (head, within) = (row / head_dim, row % head_dim);
    head * head_dim + within / 2 + (within % 2) * (head_dim / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped() {
        assert_eq!(
            to_gguf("model.layers.12.self_attn.q_proj.weight").unwrap(),
            "blk.12.attn_q.weight"
        );
        assert_eq!(to_gguf("lm_head.weight").unwrap(), "output.weight");
        assert_eq!(
            to_gguf("model.layers.0.mlp.down_proj.bias").unwrap(),
            "blk.0.ffn_down.bias"
        );
        assert_eq!(
            to_gguf("model.layers.0.self_attn.rotary_emb.inv_freq"),
            None
        );
        assert_eq!(to_gguf("model.layers.x.mlp.up_proj.weight"), None);
    }

    #[test]
    fn rows_are_interleaved_within_each_head() {
        let order: Vec<_> = (0..8).map(|row| interleaved(row, 4)).collect();
        assert_eq!(order, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
