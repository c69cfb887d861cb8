//! Translates the tensor names of a Llama between Hugging Face and GGUF.

/// Modules of a layer: Hugging Face name and GGUF name.
const MODULES: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
/// Tensors outside of the layers.
const OUTER: [(&str, &str); 3] = [
    ("embed_tokens.weight", "token_embd.weight"),
    ("norm.weight", "output_norm.weight"),
    ("lm_head.weight", "output.weight"),
];
/// Name components that PyTorch wrappers (`torch.compile`, data parallelism, FSDP, checkpointing) add.
const WRAPPERS: [&str; 4] = [
    "_orig_mod",
    "module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
];

/// The GGUF name; `None` for a tensor that a Llama does not need.
pub fn to_gguf(name: &str) -> Option<String> {
    let plain = unwrapped(name);
    let mut inner = plain.as_str();
    while let Some(rest) = inner.strip_prefix("model.") {
        inner = rest;
    }
    if let Some((_, known)) = OUTER.iter().find(|(theirs, _)| *theirs == inner) {
        return Some((*known).to_owned());
    }
    let (layer, rest) = inner.strip_prefix("layers.")?.split_once('.')?;
    let layer: u32 = layer.parse().ok()?;
    let (module, kind) = rest.rsplit_once('.')?;
    let (_, module) = MODULES.iter().find(|(theirs, _)| *theirs == module)?;
    matches!(kind, "weight" | "bias").then(|| format!("blk.{layer}.{module}.{kind}"))
}

/// The Hugging Face name of the tensor with this GGUF name.
pub fn from_gguf(name: &str) -> String {
    let inner = || -> Option<String> {
        if let Some((theirs, _)) = OUTER.iter().find(|(_, known)| *known == name) {
            return Some((*theirs).to_owned());
        }
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (module, kind) = rest.split_once('.')?;
        let (theirs, _) = MODULES.iter().find(|(_, known)| *known == module)?;
        Some(format!("layers.{layer}.{theirs}.{kind}"))
    };
    match inner() {
        Some(inner) if inner.starts_with("lm_head") => inner,
        Some(inner) => format!("model.{inner}"),
        None => name.to_owned(),
    }
}

/// Removes the components that wrappers add from a name.
fn unwrapped(name: &str) -> String {
    let parts = name.split('.').filter(|part| !WRAPPERS.contains(part));
    parts.collect::<Vec<_>>().join(".")
}

/// Hugging Face's index of a row of q or k, given its index in GGUF. Hugging Face pairs the two halves of a head for
/// rotation, GGUF pairs neighbours: GGUF's row `2i` of a head is row `i`, and row `2i + 1` is row `i + head_dim / 2`.
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
    fn wrappers_are_removed() {
        for name in [
            "_orig_mod.model.layers.1.mlp.up_proj.weight",
            "module.model.layers.1.mlp.up_proj.weight",
            "module._orig_mod.model.layers.1._orig_mod.mlp.up_proj.weight",
            "model.model.layers.1.mlp._fsdp_wrapped_module.up_proj.weight",
            "layers.1.mlp.up_proj.weight",
        ] {
            assert_eq!(
                to_gguf(name).as_deref(),
                Some("blk.1.ffn_up.weight"),
                "{name}"
            );
        }
        assert_eq!(
            to_gguf("_orig_mod.lm_head.weight").unwrap(),
            "output.weight"
        );
    }

    #[test]
    fn names_round_trip() {
        for name in [
            "model.embed_tokens.weight",
            "model.norm.weight",
            "lm_head.weight",
            "model.layers.3.self_attn.o_proj.weight",
            "model.layers.0.post_attention_layernorm.weight",
            "model.layers.0.mlp.gate_proj.bias",
        ] {
            assert_eq!(from_gguf(&to_gguf(name).unwrap()), name);
        }
        assert_eq!(from_gguf("rope_freqs.weight"), "rope_freqs.weight");
    }

    #[test]
    fn rows_are_interleaved_within_each_head() {
        let order: Vec<_> = (0..8).map(|row| interleaved(row, 4)).collect();
        assert_eq!(order, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
