"""Hugging Face folders in (config.json, safetensors, tokenizer.json), safetensors out."""
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from .model import Config, Llama
from .text import Chat


def read_config(folder: Path) -> Config:
    raw = json.loads((folder / "config.json").read_text())
    if raw["model_type"] != "llama":
        raise ValueError(f"{folder}: model type {raw['model_type']}, only llama is supported")
    if raw.get("rope_scaling"):
        raise ValueError(f"{folder}: rope scaling is not supported")
    heads = raw["num_attention_heads"]
    rope = raw.get("rope_parameters") or {}
    return Config(
        vocab=raw["vocab_size"], layers=raw["num_hidden_layers"], dim=raw["hidden_size"],
        ffn=raw["intermediate_size"], heads=heads, kv_heads=raw.get("num_key_value_heads", heads),
        head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
        rope_base=raw.get("rope_theta") or rope.get("rope_theta", 10000.0),
        norm_eps=raw["rms_norm_eps"], tied=raw.get("tie_word_embeddings", False))


def special_text(raw: dict, key: str) -> str:
    """A special token of tokenizer_config.json, which may be a string or an object."""
    value = raw.get(key) or ""
    return value["content"] if isinstance(value, dict) else value


def load_chat(folder: Path) -> Chat:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    raw = json.loads(path.read_text()) if path.exists() else {}
    eos = special_text(raw, "eos_token") or "<|im_end|>"
    eos_id = tokenizer.token_to_id(eos)
    if eos_id is None:
        raise ValueError(f"{folder}: the tokenizer has no token {eos!r} to end an answer with")
    template = folder / "chat_template.jinja"
    text = template.read_text() if template.exists() else raw.get("chat_template")
    return Chat(tokenizer, text, special_text(raw, "bos_token"), eos, eos_id)


def load_folder(folder: Path) -> tuple[Llama, Chat]:
    """The model in float32, and its chat."""
    config, state = read_config(folder), {}
    for part in sorted(folder.glob("*.safetensors")):
        state.update(load_file(part))
    if not state:
        raise OSError(f"{folder}: no safetensors file")
    state.pop("lm_head.weight", None) if config.tied else None
    model = Llama(config)
    model.load_state_dict({name: w.float() for name, w in state.items() if "rotary_emb" not in name})
    return model, load_chat(folder)


def load_weights(model: Llama, path: Path) -> None:
    """Put tuned weights into `model`: a safetensors file, or the average of a checkpoint (state.pt), whose other weights
    are the base's."""
    part = path.suffix == ".pt"
    state = torch.load(path, map_location="cpu", mmap=True)["average"] if part else load_file(path)
    found = model.load_state_dict({name: w.float() for name, w in state.items()}, strict=not part)
    if found.unexpected_keys:
        raise ValueError(f"{path}: {found.unexpected_keys[0]} is not part of this model")


def save_safetensors(model: Llama, path: Path) -> None:
    """The weights under Hugging Face's names, float32."""
    state = {name: w.detach().float().cpu().contiguous() for name, w in model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})
