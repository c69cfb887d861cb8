"""Pack tuned weights into a GGUF that keeps the tokenizer and metadata of a base GGUF. See README.md."""
import argparse
from pathlib import Path

import torch
from gguf import GGMLQuantizationType

from layerskip import distil, gguf_io, hf_io
from layerskip.grids import BLOCK, GRIDS, Coded, Grid, round_matrix
from layerskip.model import Llama
from layerskip.quantise import quantise_layers, round_layers

FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9}


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("--base", type=Path, required=True, help="GGUF whose tokenizer and metadata are copied")
    add("--weights", type=Path, help="safetensors of tune.py; without it the base's own weights are packed")
    add("--out", type=Path, required=True)
    add("--name", default="", help="general.name; empty: the base's")
    add("--body", default="q4_0", choices=GRIDS, help="type of the layers' matrices")
    add("--low", default="", help="another type for the first layers, as TYPE:COUNT, such as q5_0:6")
    add("--head", default="q8_0", choices=GRIDS, help="type of the embedding and the head")
    add("--calibrate", type=Path, help="text.pt of tune.py: round by the activations (GPTQ)")
    add("--calibrate-tokens", type=int, default=12000)
    add("--exit-layer", type=int, help="default exit layer, stored as skiplens.exit_layer")
    add("--num-speculations", type=int, help="default draft length, stored as skiplens.num_speculations")
    add("--draft-vocab", type=int, help="default draft vocabulary, stored as skiplens.draft_vocab")
    return p.parse_args(argv)


def choose_grids(a: argparse.Namespace, layers: int) -> list[Grid]:
    """The grid of each layer."""
    kind, _, count = a.low.partition(":")
    return [GRIDS[kind if index < int(count or 0) else a.body] for index in range(layers)]


def read_texts(path: Path, tokens: int) -> list[distil.Answer]:
    """Enough texts for `tokens` positions, spread over the file."""
    answers = [distil.Answer(*row) for row in torch.load(path)]
    step = max(1, sum(len(x.ids) for x in answers) // tokens)
    return answers[::step]


def coded_tensors(model: Llama, a: argparse.Namespace) -> dict[str, Coded]:
    """All matrices of `model` by Hugging Face name, on their grids."""
    grids = choose_grids(a, model.c.layers)
    head = {name: round_matrix(w.detach(), GRIDS[a.head]) for name, w in model.named_parameters()
            if w.ndim == 2 and ".layers." not in name}
    with torch.no_grad():
        for name, coded in head.items():
            model.get_parameter(name).copy_(coded.weights())
    if not a.calibrate:
        return head | round_layers(model, grids)
    return head | quantise_layers(model, grids, read_texts(a.calibrate, a.calibrate_tokens))


def file_tensors(model: Llama, coded: dict[str, Coded]):
    """(name, data, type) for the writer: coded matrices, float32 vectors."""
    for name, array in gguf_io.gguf_tensors(model):
        own = gguf_io.hf_name(name)
        if own not in coded:
            yield name, array, GGMLQuantizationType.F32
            continue
        heads = gguf_io.heads_of(name, model.c)
        matrix = coded[own].reorder(lambda t: gguf_io.interleave(t, heads)) if heads else coded[own]
        yield name, matrix.pack(), matrix.grid.kind


def defaults(a: argparse.Namespace) -> dict[str, int]:
    wanted = {"exit_layer": a.exit_layer, "num_speculations": a.num_speculations, "draft_vocab": a.draft_vocab}
    return {f"skiplens.{key}": value for key, value in wanted.items() if value is not None}


def main(argv=None) -> None:
    a = arguments(argv)
    model, _ = gguf_io.load_gguf(a.base)
    if model.c.dim % BLOCK or model.c.ffn % BLOCK:
        raise SystemExit(f"{a.base}: sizes that are not multiples of {BLOCK} cannot be packed")
    if a.weights:
        hf_io.load_safetensors(model, a.weights)
    replace = {"general.file_type": FILE_TYPES[a.body]} | ({"general.name": a.name} if a.name else {})
    tensors = file_tensors(model, coded_tensors(model, a))
    gguf_io.write_gguf(a.out, a.base, tensors, replace, defaults(a))
    print(f"{a.out}: {a.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
