"""What a machine can do: tokens a second and peak memory of both stages, by batch size, in a minute."""
import copy
import gc
import time
from dataclasses import dataclass, replace

import torch

from . import distil
from .batches import pad
from .distil import Answer
from .model import Llama
from .train import Settings, Trainer


@dataclass
class Found:
    """One batch size: tokens a second, and the peak memory in bytes (0 where it is not known)."""

    size: int
    rate: float
    peak: int

    def __str__(self) -> str:
        return f"{self.size:>7}: {self.rate:>10,.0f} tokens/s, {self.peak / 1e9:5.1f} GB"


def measured(make, size: int, device: torch.device) -> Found:
    """What `make(size)` is worth, a function that works and returns for how many tokens; its first call is not timed."""
    cuda = device.type == "cuda"
    wait = torch.cuda.synchronize if cuda else lambda: None
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    work = make(size)
    work()
    wait()
    begin = time.monotonic()
    tokens = work()
    wait()
    return Found(size, tokens / (time.monotonic() - begin), torch.cuda.max_memory_allocated() if cuda else 0)


def sweep(name: str, sizes: list[int], make, device: torch.device, room: float, seconds: float) -> list[Found]:
    """Try `sizes`, ascending, until one does not fit, or takes more than `room` of the memory, or time is up.

    `make(size)` returns the work to measure (`measured`).
    """
    found, begin = [], time.monotonic()
    total = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else float("inf")
    for size in sizes:
        try:
            one = measured(make, size, device)
        except torch.cuda.OutOfMemoryError:
            one = None      # not here: the exception holds the memory
        gc.collect()
        torch.cuda.empty_cache()
        print(f"{name} {one or f'{size:>7}: does not fit'}", flush=True)
        if one is None or one.peak > room * total:
            break
        found.append(one)
        if time.monotonic() - begin > seconds:
            break
    if not found:
        raise SystemExit(f"{name}: not even a batch of {sizes[0]} fits")
    return found


def smallest_good(found: list[Found], share: float = 0.9) -> int:
    """The smallest batch that is nearly as fast as the fastest: a larger one takes fewer steps in the time for little."""
    best = max(one.rate for one in found)
    return next(one.size for one in found if one.rate >= share * best)


def generation(published: Llama, prompt: int, new: int, top: int):
    """Work for `sweep`: tokens of a full batch, behind prompts of `prompt` tokens, with room for `new`."""
    @torch.inference_mode()
    def make(size: int):
        batch = distil.start_batch(published, [[1] * prompt] * size, [1.0] * size, new, 1)
        results = distil.make_results(size, published.c.dim, new, top, 1)
        x = distil.take_step(published, batch, results, 0, None, top)

        @torch.inference_mode()
        def work() -> int:
            nonlocal x
            begin = batch.caches[0].length - prompt + 1
            for step in range(begin, begin + (new - 1) // 16):
                x = distil.take_step(published, batch, results, step, x, top)
            return size * ((new - 1) // 16)
        return work
    return make


def invented(model: Llama, tokens: int, prompt: int, new: int, top: int) -> list[Answer]:
    """Answers of no meaning that fill a batch of `tokens`."""
    ids = torch.randint(model.c.vocab, (max(1, tokens // (prompt + new)), prompt + new)).tolist()
    return [Answer(row, prompt, torch.randn(new, model.c.dim).bfloat16(),
                   torch.randint(model.c.vocab, (new, top), dtype=torch.int32)) for row in ids]


def training(model: Llama, published: Llama, s: Settings, prompt: int, new: int, top: int, steps: int = 4):
    """Work for `sweep`: steps over a batch, on a copy of `model`."""
    def make(size: int):
        t = Trainer(copy.deepcopy(model), [], replace(s, batch_tokens=size, lr=0.0), published)
        rows = pad(invented(model, size, prompt, new, top)).to(t.device)

        def work() -> int:
            for _ in range(steps):
                t.train_step([rows], 0.5)
            return steps * rows.ids.numel()
        return work
    return make
