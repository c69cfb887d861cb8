"""GGUF files in and out, in terms of Hugging Face's tensor names.

llama.cpp stores the rows of the query and key matrices in the order of interleaved RoPE, Hugging Face in the order of
half-rotated RoPE; `half_rotate` and `interleave` convert between the two.
"""
from pathlib import Path

import gguf
import numpy as np
import torch

from .model import Config, Llama

LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def half_rotate(w: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a query or key matrix from GGUF's order to Hugging Face's."""
    rows, cols = w.shape
    return w.view(heads, rows // heads // 2, 2, cols).transpose(1, 2).reshape(rows, cols).contiguous()


def interleave(w: torch.Tensor, heads: int) -> torch.Tensor:
    """The inverse of `half_rotate`."""
    rows, cols = w.shape
    return w.view(heads, 2, rows // heads // 2, cols).transpose(1, 2).reshape(rows, cols).contiguous()


def hf_name(name: str) -> str:
    """Hugging Face's name of a GGUF tensor; raises `ValueError` for tensors a plain Llama does not have."""
    if name in TOP_NAMES:
        return TOP_NAMES[name]
    parts = name.split(".")
    if len(parts) == 4 and parts[0] == "blk" and parts[3] == "weight" and parts[2] in LAYER_NAMES:
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"
    raise ValueError(f"tensor {name}: not part of a plain Llama (rope scaling, biases and experts are not supported)")


def heads_of(name: str, c: Config) -> int:
    """How many heads the rows of this GGUF tensor are grouped into for RoPE, 0 if it has no part in RoPE."""
    return {"attn_q": c.heads, "attn_k": c.kv_heads}.get(name.split(".")[-2], 0)


def read_config(meta: dict, tied: bool) -> Config:
    if meta["general.architecture"] != "llama":
        raise ValueError(f"architecture {meta['general.architecture']}: only llama is supported")
    get = lambda key, default=None: meta.get(f"llama.{key}", default)
    dim, heads = get("embedding_length"), get("attention.head_count")
    return Config(
        vocab=len(meta["tokenizer.ggml.tokens"]), layers=get("block_count"), dim=dim, ffn=get("feed_forward_length"),
        heads=heads, kv_heads=get("attention.head_count_kv", heads),
        head_dim=get("attention.key_length", get("rope.dimension_count", dim // heads)),
        rope_base=get("rope.freq_base", 10000.0), norm_eps=get("attention.layer_norm_rms_epsilon"), tied=tied)


def read_meta(path: Path, reader: gguf.GGUFReader | None = None) -> dict:
    """The metadata of a GGUF file as Python values."""
    fields = (reader or gguf.GGUFReader(path)).fields
    return {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}


def load_gguf(path: Path) -> tuple[Llama, dict]:
    """The model in float32, and the metadata."""
    reader = gguf.GGUFReader(path)
    meta = read_meta(path, reader)
    config = read_config(meta, all(t.name != "output.weight" for t in reader.tensors))
    state = {}
    for t in reader.tensors:
        w = torch.from_numpy(np.array(gguf.dequantize(t.data, t.tensor_type), dtype=np.float32))
        w = w.reshape([int(n) for n in reversed(t.shape)])
        heads = heads_of(t.name, config) if w.ndim == 2 else 0
        state[hf_name(t.name)] = half_rotate(w, heads) if heads else w
    model = Llama(config)
    if config.tied:
        state.pop("lm_head.weight", None)
    model.load_state_dict(state)
    return model, meta


def gguf_tensors(model: Llama):
    """(GGUF name, float32 array) of every tensor of `model`, in llama.cpp's usual order."""
    state = {k: v.detach().float().cpu() for k, v in model.state_dict().items()}
    names = ["token_embd.weight"]
    for layer in range(model.c.layers):
        names += [f"blk.{layer}.{part}.weight" for part in LAYER_NAMES]
    names += ["output_norm.weight"] + ([] if model.c.tied else ["output.weight"])
    for name in names:
        w = state[hf_name(name)]
        heads = heads_of(name, model.c) if w.ndim == 2 else 0
        yield name, (interleave(w, heads) if heads else w).numpy()


def copy_meta(base: Path, writer: gguf.GGUFWriter, replace: dict) -> None:
    """Copy the metadata of `base` as it is, but for the string keys in `replace`."""
    for key, field in gguf.GGUFReader(base).fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.alignment"):
            continue
        value = replace.get(key, field.contents())
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(key, value, gguf.GGUFValueType.ARRAY, sub_type=field.types[-1])
        else:
            writer.add_key_value(key, value, field.types[0])


def write_gguf(path: Path, base: Path, tensors, replace: dict, numbers: dict) -> None:
    """Write `tensors` [(name, data, type)] with the metadata of `base`; `numbers` are extra u32 keys."""
    writer = gguf.GGUFWriter(path, "llama")
    copy_meta(base, writer, replace)
    for key, value in numbers.items():
        writer.add_uint32(key, value)
    for name, data, kind in tensors:
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
