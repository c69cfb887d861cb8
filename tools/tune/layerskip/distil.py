"""Stage 1: the published model answers the prompts, and says what it thought at every token.

The text is on-policy, so no foreign text is learnt. What training needs of the teacher is a by-product of the
generation: the normed final hidden state of each answer position (from which the logits of any token follow by one dot
product) and the ids of its most likely tokens. No teacher runs again in training.
"""
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .model import LayerCache, Llama

PREFILL = {"cpu": 16, "cuda": 256}    # prompts read at once


@dataclass
class Answer:
    """One prompt and its answer; row i of `hidden` and `top` is the teacher's state that chose answer token i."""

    ids: list[int]
    start: int
    hidden: torch.Tensor
    top: torch.Tensor

    @property
    def rows(self) -> int:
        return len(self.ids) - self.start


@dataclass
class Batch:
    """A batch that is being generated, prompts padded on the left; answered sequences leave it.

    `alive` [batch] are the rows of the results that the sequences still in the batch belong to. `tap(batch, layers, at, h)`
    sees the states `h` [batch, new, dim] after that many layers, of the positions from `at`, padding included.
    """

    ids: torch.Tensor
    seen: torch.Tensor
    first: torch.Tensor
    heat: torch.Tensor
    alive: torch.Tensor
    caches: list[LayerCache]
    tap: Callable | None = None

    def part(self, rows: slice) -> "Batch":
        """Some of the sequences, in the same storage."""
        return Batch(self.ids[rows], self.seen[rows], self.first[rows], self.heat[rows], self.alive[rows],
                     [cache.part(rows) for cache in self.caches], self.tap)

    def keep(self, rows: torch.Tensor) -> None:
        self.seen, self.first, self.heat = self.seen[rows], self.first[rows], self.heat[rows]
        self.alive = self.alive[rows]
        for cache in self.caches:
            cache.keep(rows)


@dataclass
class Results:
    """What a batch gave, on the CPU: tokens [batch, max_new], the teacher's states beside them."""

    tokens: torch.Tensor
    hidden: torch.Tensor
    top: torch.Tensor

    def put(self, step: int, rows: torch.Tensor, token, hidden, top) -> None:
        rows = rows.cpu()
        self.tokens[rows, step] = token.cpu()
        if self.hidden.shape[1]:
            self.hidden[rows, step] = hidden.bfloat16().cpu()
            self.top[rows, step] = top[:, :self.top.shape[2]].int().cpu()


def start_batch(model: Llama, prompts: list[list[int]], temperatures, max_new: int, pad: int) -> Batch:
    device, count, width = model.head_weight.device, len(prompts), max(map(len, prompts))
    ids = torch.full((count, width), pad)
    seen = torch.zeros(count, width + max_new, dtype=torch.bool)
    seen[:, width:] = True
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt):] = torch.tensor(prompt)
        seen[row, width - len(prompt):width] = True
    first = width - torch.tensor([len(p) for p in prompts])
    caches = [LayerCache(model.c, count, width + max_new, model.head_weight) for _ in range(model.c.layers)]
    heat = torch.tensor(temperatures)[:, None]
    return Batch(ids.to(device), seen.to(device), first.to(device), heat.to(device),
                 torch.arange(count, device=device), caches)


def step_hidden(model: Llama, batch: Batch, x: torch.Tensor) -> torch.Tensor:
    """Normed final hidden state [batch, dim] of the last of the new tokens `x` [batch, new]."""
    at, new, device = batch.caches[0].length, x.shape[1], x.device
    where = torch.arange(at, at + new, device=device)
    rope = model.rope((where[None] - batch.first[:, None]).clamp(min=0), model.head_weight.dtype)
    rope = (rope[0][:, None], rope[1][:, None])
    keys = torch.arange(at + new, device=device)
    mask = batch.seen[:, None, None, :at + new] & (keys[None, :] <= where[:, None])
    mask = mask | (keys[None, :] == where[:, None])     # a padded row sees itself, so that no softmax is empty
    h = model.embed(x)
    for index, (layer, cache) in enumerate(zip(model.model.layers, batch.caches)):
        h = layer(h, rope, cache, mask)
        if batch.tap:
            batch.tap(batch, index + 1, at, h)
    return model.normed(h[:, -1])


def read_prompts(model: Llama, batch: Batch) -> torch.Tensor:
    """Normed final hidden state [batch, dim] of the last token of each prompt.

    A few sequences at a time: whole batches leave the caches of a CPU, and take more memory than the rest of the run.
    """
    size = PREFILL.get(batch.ids.device.type, 256)
    parts = [batch.part(slice(i, i + size)) for i in range(0, len(batch.ids), size)]
    h = torch.cat([step_hidden(model, part, part.ids) for part in parts])
    for cache in batch.caches:
        cache.length = batch.ids.shape[1]
    return h


def choose(logits: torch.Tensor, top: torch.Tensor, temperature: torch.Tensor) -> torch.Tensor:
    """Sample among the tokens in `top` [batch, n] by the Gumbel trick; temperature 0 [batch, 1] is the argmax."""
    likely = logits.gather(1, top)
    noise = torch.empty_like(likely).exponential_().clamp_(min=1e-20).log_().neg_()
    return top.gather(1, (likely + temperature * noise).argmax(-1, keepdim=True))[:, 0]


def make_results(count: int, dim: int, max_new: int, top: int, eos: int) -> Results:
    kept = max_new if top else 0
    return Results(torch.full((count, max_new), eos), torch.zeros(count, kept, dim, dtype=torch.bfloat16),
                   torch.zeros(count, kept, top, dtype=torch.int32))


def take_step(model: Llama, batch: Batch, results: Results, step: int, x, top: int, done=None, eos: int = 0) -> torch.Tensor:
    """The token [batch] after `x` of each sequence, after the prompt at step 0, and `eos` where it is `done`; it is noted in
    `results`."""
    h = step_hidden(model, batch, x[:, None]) if step else read_prompts(model, batch)
    logits = torch.nn.functional.linear(h, model.head_weight).float()
    likely = logits.topk(max(1, top), -1).indices
    token = choose(logits, likely, batch.heat)
    token = token if done is None else torch.where(done, eos, token)
    results.put(step, batch.alive, token, h, likely)
    return token


@torch.inference_mode()
def answer(model: Llama, prompts, temperatures, max_new: int, eos: int, top: int = 0) -> list[Answer]:
    """Answer a batch of prompts (lists of ids); with `top` > 0 the teacher's state is kept too."""
    batch, results = start_batch(model, prompts, temperatures, max_new, eos), make_results(len(prompts), model.c.dim, max_new, top, eos)
    x, done = None, torch.zeros_like(batch.first, dtype=torch.bool)
    for step in range(max_new):
        token = take_step(model, batch, results, step, x, top, done, eos)
        done, x = done | (token == eos), token
        if done.all():
            break
        if step % 8 == 7 and done.float().mean() > 0.15:
            batch.keep(~done)
            x, done = x[~done], done[~done]
    return collect(results, prompts, eos, top)


def collect(results: Results, prompts, eos: int, top: int) -> list[Answer]:
    """Cut each answer after its end token."""
    answers = []
    for row, (prompt, new) in enumerate(zip(prompts, results.tokens.tolist())):
        n = new.index(eos) + 1 if eos in new else len(new)
        state = (results.hidden[row, :n].clone(), results.top[row, :n].clone()) if top else (None, None)
        answers.append(Answer(prompt + new[:n], len(prompt), *state))
    return answers


def make_batches(prompts: list[list[int]], size: int, rng: random.Random) -> list[list[list[int]]]:
    """Batches of prompts of like length, in random order."""
    prompts = sorted(prompts, key=len)
    batches = [prompts[i:i + size] for i in range(0, len(prompts), size)]
    rng.shuffle(batches)
    return batches


def plan(prompts: list[list[int]], size: int, rng: random.Random):
    """(batch, temperatures) without end. The first time through the prompts half of the answers are greedy, as most drafting
    is, the rest at the usual temperatures; after that none, for greedy answers would come again."""
    greedy = [0.0, 0.0, 0.0]
    while True:
        for batch in make_batches(prompts, size, rng):
            yield batch, [rng.choice(greedy + [0.6, 0.8, 1.0]) for _ in batch]
        greedy = []


def generate(model: Llama, prompts: list[list[int]], seconds: float, batch: int, max_new: int, eos: int, top: int,
             save=None, seed: int = 1) -> list[Answer]:
    """Answers for about `seconds`.

    `save(answers)` is called after each batch, so that a kill loses little.
    """
    begin, answers = time.monotonic(), []
    for prompts_now, heat in plan(prompts, batch, random.Random(seed)):
        answers += [a for a in answer(model, prompts_now, heat, max_new, eos, top) if a.rows >= 4]
        spent = time.monotonic() - begin
        rows = sum(a.rows for a in answers)
        print(f"{len(answers)} answers, {rows} tokens, {spent:.0f} s, {rows / spent:.0f} tokens/s", flush=True)
        if save:
            save(answers)
        if spent > seconds:
            break
    return answers
