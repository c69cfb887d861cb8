"""`NAME.exits.gguf`: the adapters of a model, beside its file."""
from pathlib import Path

import gguf
import torch
from gguf import GGMLQuantizationType

from .adapter import Adapter
from .gguf_io import LAYER_NAMES, heads_of, interleave
from .grids import BLOCK, GRIDS, round_matrix
from .model import Llama

ARCHITECTURE = "skiplens-exits"


def tensors(adapter: Adapter):
    """(GGUF name, matrix or vector float32)."""
    state = {name: w.detach().float().cpu() for name, w in adapter.state_dict().items()}
    for exit_layer in adapter.exits:
        yield f"exits.{exit_layer}.proj.weight", state[f"proj.{exit_layer}.weight"]
    for part, name in LAYER_NAMES.items():
        w = state[f"block.{name}.weight"]
        heads = heads_of(f"blk.{part}.weight", adapter.c) if w.ndim == 2 else 0
        yield f"exits.block.{part}.weight", interleave(w, heads) if heads else w


def write(path: Path, model: Llama, adapter: Adapter | None, name: str, order: torch.Tensor | None, borrowed: dict[int, int],
          recommended: dict[str, int]) -> None:
    """Matrices in Q8_0 where their rows can be divided into blocks, else in float32. `borrowed` says which exits without an
    adapter use that of another, `recommended` are settings that pay most. Without `adapter` the file holds the draft order only."""
    writer, c = gguf.GGUFWriter(path, ARCHITECTURE), model.c
    writer.add_name(name)
    writer.add_uint32(f"{ARCHITECTURE}.version", 1)
    writer.add_uint32(f"{ARCHITECTURE}.block_count", c.layers)
    writer.add_uint32(f"{ARCHITECTURE}.embedding_length", c.dim)
    writer.add_uint32(f"{ARCHITECTURE}.vocab_size", c.vocab)
    if adapter:
        used = {**{e: e for e in adapter.exits}, **borrowed}
        writer.add_array(f"{ARCHITECTURE}.exit_layers", sorted(adapter.exits))
        writer.add_array(f"{ARCHITECTURE}.adapter_of_exit", [used.get(e, 0) for e in range(c.layers)])
    for key, value in recommended.items():
        writer.add_uint32(f"skiplens.{key}", value)
    if order is not None:
        writer.add_array(f"{ARCHITECTURE}.draft_order", order.tolist())
    for tensor, w in tensors(adapter) if adapter else ():
        if w.ndim == 2 and w.shape[1] % BLOCK == 0:
            writer.add_tensor(tensor, round_matrix(w, GRIDS["q8_0"]).pack(), raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(tensor, w.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
