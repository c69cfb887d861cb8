"""Batches of answers for training, made ready on the CPU while the device works."""
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from .distil import Answer


@dataclass
class Rows:
    """A batch of sequences, padded on the right.

    `ids` [batch, seq]; `at`, the flat positions of the rows, which are the positions that choose an answer token, with
    the teacher's `hidden` and `top`; `body`, the flat positions of all tokens but the first of each sequence. The rest is
    known to the CPU, so that nothing has to wait for the device: each sequence's first token, and how many of `at` and
    `body` belong to the sequences up to it.
    """

    ids: torch.Tensor
    at: torch.Tensor
    body: torch.Tensor
    hidden: torch.Tensor
    top: torch.Tensor
    first: list[int]
    at_ends: list[int]
    body_ends: list[int]

    def change(self, tensors) -> "Rows":
        names = ("ids", "at", "body", "hidden", "top")
        return replace(self, **{name: tensors(getattr(self, name)) for name in names})

    def to(self, device) -> "Rows":
        return self.change(lambda t: t.to(device, non_blocking=True))

    def part(self, begin: int, count: int) -> tuple["Rows", slice]:
        """The sequences `begin..begin + count`, and which of the rows they have."""
        at, body = (slice(ends[begin - 1] if begin else 0, ends[begin + count - 1]) for ends in (self.at_ends, self.body_ends))
        shift, own = begin * self.ids.shape[1], slice(begin, begin + count)
        cut = lambda ends, part: [end - part.start for end in ends[own]]
        return Rows(self.ids[own], self.at[at] - shift, self.body[body] - shift, self.hidden[at], self.top[at],
                    self.first[own], cut(self.at_ends, at), cut(self.body_ends, body)), at


def make_batches(answers: list, tokens: int, rng: random.Random) -> list[list]:
    """Answers, or other things with `ids`, of like length together, at most `tokens` positions with padding, in random order."""
    batches, now, longest = [], [], 0
    for answer in sorted(answers, key=lambda a: len(a.ids) + rng.random()):
        longest = max(longest, len(answer.ids))
        if now and (len(now) + 1) * longest > tokens:
            batches.append(now)
            now, longest = [], len(answer.ids)
        now.append(answer)
    batches.append(now)
    rng.shuffle(batches)
    return batches


def pad(batch: list[Answer]) -> Rows:
    """A batch on the CPU; position i is a row if token i + 1 belongs to the answer."""
    width = max(len(a.ids) for a in batch) - 1
    ids, at, body = torch.zeros(len(batch), width, dtype=torch.long), [], []
    for index, answer in enumerate(batch):
        length = len(answer.ids) - 1
        ids[index, :length] = torch.tensor(answer.ids[:-1])
        at.append(torch.arange(answer.start - 1, length) + index * width)
        body.append(torch.arange(1, length) + index * width)
    return Rows(ids, torch.cat(at), torch.cat(body), torch.cat([a.hidden for a in batch]), torch.cat([a.top for a in batch]),
                [a.ids[0] for a in batch], list(accumulate(map(len, at))), list(accumulate(map(len, body))))


def endless(answers: list[Answer], tokens: int, rng: random.Random):
    """Batches without end: all answers once, then all once again in another order."""
    while True:
        yield from make_batches(answers, tokens, rng)


def stream(answers: list[Answer], tokens: int, rng: random.Random, device: torch.device):
    """`Rows` on `device` without end; the next ones are padded while the present ones are in use."""
    batches, pin = endless(answers, tokens, rng), device.type == "cuda"
    make = lambda: pad(next(batches)).change(torch.Tensor.pin_memory if pin else lambda t: t)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make)
        while True:
            rows, coming = coming.result(), pool.submit(make)
            yield rows.to(device)
