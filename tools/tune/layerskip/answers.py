"""The model's own answers, with its states or without, in a folder that grows: what exit adapters are trained on.

Each batch of answers is one file, written aside and renamed, so a run that is cut loses at most the batch at hand, and the
next run continues where the files end.
"""
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from . import distil
from .model import Llama

LIKELY = 64     # tokens that sampling chooses among


@dataclass
class Text:
    """A prompt and its answer: `ids` [n], of which the answer begins at `start`, and `states` [n - 1, exits + 1, dim], after
    each exit layer and after the last layer, of all tokens but the last; None where training computes them again."""

    ids: torch.Tensor
    start: int
    states: torch.Tensor | None

    @property
    def rows(self) -> int:
        return len(self.ids) - self.start


class Tap:
    """Keeps the states [count, length, layers, dim] that `layers` (layer counts) leave."""

    def __init__(self, layers: list[int], count: int, length: int, dim: int):
        self.index = {layer: i for i, layer in enumerate(layers)}
        self.states = torch.zeros(count, length, len(layers), dim, dtype=torch.bfloat16)

    def __call__(self, batch: distil.Batch, layer: int, at: int, h: torch.Tensor) -> None:
        if layer in self.index:
            self.states[batch.alive.cpu(), at:at + h.shape[1], self.index[layer]] = h.bfloat16().cpu()


@torch.inference_mode()
def answer(model: Llama, prompts: list[list[int]], temperatures, max_new: int, eos: int, exits: list[int] | None) -> list[Text]:
    """Answer a batch of prompts (lists of ids), keeping the states at `exits` and after the last layer, or none for None."""
    batch = distil.start_batch(model, prompts, temperatures, max_new, eos)
    width = batch.ids.shape[1]
    if exits is not None:
        batch.tap = Tap([*exits, model.c.layers], len(prompts), width + max_new, model.c.dim)
    results, x = distil.make_results(len(prompts), 0, max_new, 0, eos), None
    done = torch.zeros_like(batch.first, dtype=torch.bool)
    for step in range(max_new):
        x = distil.take_step(model, batch, results, step, x, LIKELY, done, eos)
        done = done | (x == eos)
        if done.all():
            break
        if step % 4 == 3 and done.float().mean() > 0.1:
            batch.keep(~done)
            x, done = x[~done], done[~done]
    texts = []
    for row, found in enumerate(distil.collect(results, prompts, eos, 0)):
        begin = width - found.start
        states = batch.tap.states[row, begin:begin + len(found.ids) - 1] if batch.tap else None
        texts.append(Text(torch.tensor(found.ids, dtype=torch.int32), found.start, states))
    return texts


def save(texts: list[Text], path: Path) -> None:
    aside = path.with_suffix(".part")
    tensors = {"ids": torch.cat([t.ids for t in texts]), "lengths": torch.tensor([len(t.ids) for t in texts]),
               "starts": torch.tensor([t.start for t in texts])}
    if texts[0].states is not None:
        tensors["states"] = torch.cat([t.states for t in texts])
    save_file(tensors, aside)
    aside.rename(path)


def load(path: Path) -> list[Text]:
    """The texts of one file; the states stay in the file until they are read."""
    with safe_open(path, "pt") as file:
        ids, states = file.get_tensor("ids"), file.get_tensor("states") if "states" in file.keys() else None
        lengths, starts = file.get_tensor("lengths").tolist(), file.get_tensor("starts").tolist()
    ids = ids.split(lengths)
    states = [None] * len(lengths) if states is None else states.split([n - 1 for n in lengths])
    return [Text(*text) for text in zip(ids, starts, states)]


@torch.no_grad()
def compute_states(model: Llama, texts: list[Text], exits: list[int]) -> torch.Tensor:
    """States [batch, width, exits + 1, dim] by a pass of `model`, with what padding leaves after the end of shorter texts."""
    ids = torch.zeros(len(texts), max(len(t.ids) for t in texts) - 1, dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, :len(text.ids) - 1] = text.ids[:-1]
    layers = [*exits, model.c.layers]
    hiddens = model.hiddens(ids.to(model.head_weight.device), layers)
    return torch.stack([hiddens[layer] for layer in layers], 2)


def with_states(model: Llama, texts: list[Text], exits: list[int]) -> list[Text]:
    """`texts` with states, which are computed where none are stored."""
    if all(text.states is not None for text in texts):
        return texts
    states = compute_states(model, texts, exits)
    return [Text(t.ids, t.start, states[row, :len(t.ids) - 1]) for row, t in enumerate(texts)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("answers-*.safetensors"))


def load_all(folder: Path) -> list[Text]:
    """All texts of a folder; raises `OSError` where there are none."""
    texts = [text for path in files(folder) for text in load(path)]
    if not texts:
        raise OSError(f"{folder}: no answers; run `adapter.py answer` first")
    return texts


def plan(prompts: list[list[int]], size: int, seed: int):
    """(batch, temperatures) without end, the same for the same seed. The first time through the prompts half of the answers
    are greedy, as most drafting is, and half are sampled; after that none, for greedy answers would come again."""
    rng, shares = random.Random(seed), [0.0, 0.7]
    while True:
        for batch in distil.make_batches(prompts, size, rng):
            yield batch, [rng.choice(shares) for _ in batch]
        shares = [0.7]


def generate(model: Llama, prompts, folder: Path, tokens: int, batch: int, max_new: int, eos: int,
             exits: list[int] | None, seed: int) -> None:
    """Answer prompts until `folder` holds `tokens` answer tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    known = files(folder)
    total, begin, new = sum(t.rows for path in known for t in load(path)), time.monotonic(), 0
    for number, (now, heat) in enumerate(plan(prompts, batch, seed)):
        if total >= tokens:
            break
        # A batch without usable text leaves no file.
        if (folder / f"answers-{number:05}.safetensors").exists():
            continue
        torch.manual_seed(seed * 100003 + number)
        texts = [t for t in answer(model, now, heat, max_new, eos, exits) if t.rows >= 4]
        if not texts:
            continue
        save(texts, folder / f"answers-{number:05}.safetensors")
        rows = sum(t.rows for t in texts)
        total, new = total + rows, new + rows
        print(f"{number + 1} batches, {total} answer tokens, {new / (time.monotonic() - begin):.0f} tokens/s", flush=True)
