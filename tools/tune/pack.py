"""Pack tuned weights into a GGUF that keeps the tokenizer and metadata of a base GGUF. See README.md."""
import argparse
import copy
from pathlib import Path

import gguf
import torch
from gguf import GGMLQuantizationType

from layerskip import distil, gguf_io, hf_io
from layerskip.grids import BLOCK, GRIDS, Coded, Grid, round_matrix
from layerskip.model import Llama
from layerskip.quantise import quantise_head, quantise_layers, round_layers

KEEP = "keep"
FILE_TYPES = {"q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9}


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("--base", type=Path, required=True, help="GGUF whose tokenizer and metadata are copied")
    add("--weights", type=Path, help="safetensors or state.pt of tune.py; without it the base's own weights are packed")
    add("--out", type=Path, required=True)
    add("--name", default="", help="general.name; empty: the base's")
    add("--body", default="q4_0", help="types of the layers, first to last, as TYPE:COUNT,...,TYPE; "
        f"one of {', '.join(GRIDS)}, or keep: as stored in the base")
    add("--head", default="q8_0", help="type of the embedding and the head, or keep")
    add("--calibrate", type=Path, help="text.pt of tune.py: round by the activations (GPTQ)")
    add("--calibrate-tokens", type=int, default=8000)
    add("--exit-layer", type=int, help="default exit layer, stored as skiplens.exit_layer")
    add("--num-speculations", type=int, help="default draft length, stored as skiplens.num_speculations")
    add("--draft-vocab", type=int, help="default draft vocabulary, stored as skiplens.draft_vocab")
    return p.parse_args(argv)


def choose_grids(body: str, layers: int) -> list[Grid | None]:
    """The grid of each layer, None where the base's bytes are kept."""
    chosen = []
    for part in body.split(","):
        kind, _, count = part.partition(":")
        if kind != KEEP and kind not in GRIDS:
            raise SystemExit(f"--body: {kind} is not one of {', '.join(GRIDS)}, {KEEP}")
        chosen += [GRIDS.get(kind)] * (int(count) if count else layers - len(chosen))
    if len(chosen) != layers:
        raise SystemExit(f"--body names {len(chosen)} layers, the model has {layers}")
    return chosen


def read_texts(path: Path, tokens: int) -> list[distil.Answer]:
    """Enough texts for `tokens` positions, spread over the file."""
    answers = [distil.Answer(*row) for row in torch.load(path)]
    step = max(1, sum(len(x.ids) for x in answers) // tokens)
    return answers[::step]


def round_head(model: Llama, kind: str, texts) -> dict[str, Coded]:
    """The embedding, and the head where it is a matrix of its own, on their grid; `model` takes the rounded weights."""
    found, head = {}, "model.embed_tokens.weight" if model.c.tied else "lm_head.weight"
    names = [] if kind == KEEP else [n for n, w in model.named_parameters() if w.ndim == 2 and ".layers." not in n]
    for name in names:
        w, fit = model.get_parameter(name).detach(), texts and name == head
        found[name] = quantise_head(w, GRIDS[kind], texts) if fit else round_matrix(w, GRIDS[kind])
        w.copy_(found[name].weights())
    return found


def coded_tensors(model: Llama, a: argparse.Namespace) -> dict[str, Coded]:
    """The matrices of `model` that are not kept, by Hugging Face name, on their grids."""
    texts = read_texts(a.calibrate, a.calibrate_tokens) if a.calibrate else None
    grids, head = choose_grids(a.body, model.c.layers), round_head(model, a.head, texts)
    return head | (quantise_layers(model, grids, texts) if texts else round_layers(model, grids))


def stored_tensors(base: Path, model: Llama, published: Llama) -> dict:
    """{GGUF name: tensor of the base file} of the matrices that tuning left as they were."""
    tuned, before = model.state_dict(), published.state_dict()
    same = lambda name: torch.equal(tuned[gguf_io.hf_name(name)], before[gguf_io.hf_name(name)])
    return {t.name: t for t in gguf.GGUFReader(base).tensors if same(t.name)}


def file_tensors(model: Llama, coded: dict[str, Coded], stored: dict):
    """(name, data, type) for the writer: coded matrices, matrices kept as stored, float32 vectors."""
    for name, array in gguf_io.gguf_tensors(model):
        own = gguf_io.hf_name(name)
        if own in coded:
            heads = gguf_io.heads_of(name, model.c)
            matrix = coded[own].reorder(lambda t: gguf_io.interleave(t, heads)) if heads else coded[own]
            yield name, matrix.pack(), matrix.grid.kind
        elif array.ndim == 1:
            yield name, array, GGMLQuantizationType.F32
        elif name in stored:
            yield name, stored[name].data, stored[name].tensor_type
        else:
            raise SystemExit(f"{name} was tuned: it cannot be kept as stored in the base")


def defaults(a: argparse.Namespace) -> dict[str, int]:
    wanted = {"exit_layer": a.exit_layer, "num_speculations": a.num_speculations, "draft_vocab": a.draft_vocab}
    return {f"skiplens.{key}": value for key, value in wanted.items() if value is not None}


def main(argv=None) -> None:
    a = arguments(argv)
    model, _ = gguf_io.load_gguf(a.base)
    if model.c.dim % BLOCK or model.c.ffn % BLOCK:
        raise SystemExit(f"{a.base}: sizes that are not multiples of {BLOCK} cannot be packed")
    published = copy.deepcopy(model)
    if a.weights:
        hf_io.load_weights(model, a.weights)
    stored = stored_tensors(a.base, model, published)
    replace = {"general.name": a.name} if a.name else {}
    first = a.body.split(",")[0].split(":")[0]
    if first in FILE_TYPES:
        replace["general.file_type"] = FILE_TYPES[first]
    tensors = file_tensors(model, coded_tensors(model, a), stored)
    gguf_io.write_gguf(a.out, a.base, tensors, replace, defaults(a))
    print(f"{a.out}: {a.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
