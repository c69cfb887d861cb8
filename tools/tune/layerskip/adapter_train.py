"""Training of exit adapters on the states that the frozen model left while it answered, or leaves when it reads its answers."""
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from . import losses
from .adapter import Adapter
from .answers import Text, compute_states, with_states
from .batches import make_batches
from .model import Llama
from .optimizers import Optimizers


@dataclass
class Settings:
    """`acceptance` weighs -log of the acceptance (the overlap of the distributions, Leviathan et al.) against the divergence,
    `hard` the argmax within the divergence's target. `frequent` tokens and `others` drawn ones make the vocabulary of the
    loss; 0 others: the whole one. `depths` > 1 trains chains on the adapter's own outputs. With `prompt_tokens` the tokens of
    the prompts are drafted too, which are there without being generated, except those that all texts begin with. A step trains
    `exits_a_step` of the exits. With `seconds` > 0 training ends by then, and the rate falls along the clock if that is faster."""

    epochs: float = 3.0
    lr: float = 1.5e-3
    weight_decay: float = 0.01
    hard: float = 0.5
    acceptance: float = 0.0
    save_seconds: float = 60.0
    batch_tokens: int = 3072
    warmup: int = 30
    frequent: int = 3072
    others: int = 1024
    depths: int = 1
    exits_a_step: int = 1
    seconds: float = 0.0
    prompt_tokens: bool = False
    log_every: int = 20
    seed: int = 1


def frequencies(texts: list[Text], vocab: int) -> torch.Tensor:
    """How often each token occurs in the answers."""
    return torch.bincount(torch.cat([t.ids[t.start:] for t in texts]).long(), minlength=vocab)


def common_prefix(texts: list[Text]) -> int:
    """How many tokens all texts begin with: the chat template's."""
    first = texts[0].ids[:min(t.start for t in texts)]
    for text in texts:
        differ = (text.ids[:len(first)] != first).nonzero()
        first = first[:differ[0, 0]] if len(differ) else first
    return len(first)


def pad_states(batch: list[Text], layer: int) -> torch.Tensor:
    """States [batch, width, dim] of that index, float32."""
    states = torch.zeros(len(batch), max(len(t.ids) for t in batch) - 1, batch[0].states.shape[-1])
    for row, text in enumerate(batch):
        states[row, :len(text.ids) - 1] = text.states[:, layer].float()
    return states


def choices(batch: list[Text], begin: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The flat positions of padded texts that choose the tokens from `begin` on, by default those of the answers, and these
    tokens."""
    width, at, ids = max(len(t.ids) for t in batch) - 1, [], []
    for row, text in enumerate(batch):
        first = text.start if begin is None else begin
        at.append(torch.arange(first - 1, len(text.ids) - 1) + row * width)
        ids.append(text.ids[first:].long())
    return torch.cat(at), torch.cat(ids)


@dataclass
class Padded:
    """A batch on the device: `states(i)` [batch, width, dim] after the exit of that index, and `choices`."""

    states: Callable[[int], torch.Tensor]
    at: torch.Tensor
    ids: torch.Tensor


class Trainer:
    """One run over the texts; `state.pt` in `out` is what it resumes from. Of `model` only norm and head are used; `whole`
    computes states that are not stored."""

    def __init__(self, model: Llama, texts: list[Text], stored: list[int], adapter: Adapter, s: Settings, out: Path,
                 whole: Llama | None = None):
        self.whole = whole or model
        self.model, self.texts, self.stored, self.adapter, self.s, self.out = model, texts, stored, adapter, s, out
        self.device = model.head_weight.device
        named = dict(adapter.named_parameters())
        self.optimizer = Optimizers(named, dict.fromkeys(named, 1.0), s.lr, s.weight_decay, muon=False)
        self.columns = model.head_weight.detach().float()
        self.frequent = frequencies(texts, model.c.vocab).topk(min(s.frequent, model.c.vocab)).indices.to(self.device)
        self.begin = max(1, common_prefix(texts)) if s.prompt_tokens else None
        self.steps = max(1, round(len(next(self.epochs())) * s.epochs))

    def epochs(self) -> Iterator[list[list[Text]]]:
        """The batches of each epoch, without end, the same for the same seed."""
        for epoch in itertools.count():
            yield make_batches(self.texts, self.s.batch_tokens, random.Random(self.s.seed * 1000 + epoch))

    def batches(self, begin: int) -> Iterator[list[Text]]:
        """All batches from step `begin` on."""
        return itertools.islice(itertools.chain.from_iterable(self.epochs()), begin, self.steps)

    def vocabulary(self, ids: torch.Tensor) -> losses.Vocabulary:
        known = torch.cat((self.frequent, ids))
        return losses.draw_vocabulary(known.to(self.device), self.model.c.vocab, self.s.others)

    def padded(self, texts: list[Text]) -> Padded:
        at, ids = (t.to(self.device) for t in choices(texts, self.begin))
        if all(text.states is not None for text in texts):
            return Padded(lambda i: pad_states(texts, i).to(self.device), at, ids)
        states = compute_states(self.whole, texts, self.stored)
        return Padded(lambda i: states[:, :, i].float(), at, ids)

    def loss(self, batch: Padded, exit_layer: int):
        """(loss, agreement at depth 1) of a batch."""
        h_exit, h_last = batch.states(self.stored.index(exit_layer)), batch.states(-1)
        at, ids = batch.at, batch.ids
        vocabulary = self.vocabulary(ids)
        columns = losses.head_columns(self.columns, vocabulary)
        with torch.no_grad():
            truth = self.model.normed(h_last.flatten(0, 1)[at]).float()
            target = losses.make_target(truth, columns, vocabulary, 1.0, self.s.hard)
        total, agreements = 0.0, []
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.adapter.chain(self.model, exit_layer, h_exit, h_last, self.s.depths)
            for depth, o in enumerate(outputs):
                normed = self.model.normed(o.float().flatten(0, 1)[at])
                loss, agree = losses.divergence(target, normed, columns, vocabulary)
                if self.s.acceptance:
                    loss = (1 - self.s.acceptance) * loss + self.s.acceptance * self.overlap(truth, normed, columns, vocabulary)
                total, agreements = total + loss * 0.8 ** depth, agreements + [agree]
        return total, agreements[0]

    def overlap(self, truth, normed, columns, vocabulary):
        """-log of the share of drafts that a verifier at temperature 1 accepts: the sum of min(p, q)."""
        p = torch.softmax(F.linear(truth, columns).float() + vocabulary.shift, -1)
        q = torch.softmax(F.linear(normed, columns.to(normed.dtype)).float() + vocabulary.shift, -1)
        return -torch.minimum(p, q).sum(-1).clamp(min=1e-6).log().mean()

    def done(self, step: int, spent: float) -> float:
        """How much of the run is over after `step` steps and `spent` seconds, 0 to 1."""
        return min(1.0, max(step / self.steps, spent / self.s.seconds if self.s.seconds else 0.0))

    def rate(self, step: int, done: float) -> float:
        """Linear warm-up, then a cosine to a twentieth."""
        return self.s.lr * min(1.0, (step + 1) / self.s.warmup) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))

    def pairs(self, tokens: int = 30_000):
        """`pairs(exit)` of `Adapter.solve`: the states of some texts for the least-squares start."""
        step, sample = max(1, sum(len(t.ids) for t in self.texts) // tokens), []
        chosen = self.texts[::step]
        for i in range(0, len(chosen), 16):
            computed = with_states(self.whole, chosen[i:i + 16], self.stored)
            sample += [Text(t.ids, t.start, t.states.cpu()) for t in computed]

        def of(exit_layer: int):
            layer = self.stored.index(exit_layer)
            for text in sample:
                states = text.states.float().to(self.device)
                yield states[1:, layer], states[1:, -1], states[:-1, -1]
        return of

    def run(self) -> None:
        path, begin, earlier = self.out / "state.pt", 0, 0.0
        if path.exists():
            state = torch.load(path, map_location=self.device)
            self.adapter.load_state_dict(state["adapter"])
            self.optimizer.restore(state["moments"])
            begin, earlier = state.get("step", round(state["fraction"] * self.steps)), state.get("spent", 0.0)
            if state["fraction"] >= 1 or begin >= self.steps:
                print(f"{path} is a finished run; delete it to train again", flush=True)
                return
            print(f"resuming at step {begin} of {self.steps}", flush=True)
        else:
            print("least squares, share of the direction explained:", self.adapter.solve(self.pairs()), flush=True)
        started = saved = time.monotonic()
        sums, seen, step = {e: [0.0, 0.0, 0] for e in self.adapter.exits}, 0, begin
        spent = lambda: earlier + time.monotonic() - started
        for texts in self.batches(begin):
            done, results = self.done(step, spent()), []
            if done >= 1:
                break
            batch = self.padded(texts)
            self.optimizer.zero_grad()
            for i in range(self.s.exits_a_step):
                exit_layer = self.adapter.exits[(step * self.s.exits_a_step + i) % len(self.adapter.exits)]
                loss, agree = self.loss(batch, exit_layer)
                (loss / self.s.exits_a_step).backward()
                results.append((exit_layer, loss.detach(), agree))
            norm = torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), 1.0)
            if math.isfinite(norm.item()):
                self.optimizer.step(self.rate(step, done))
            seen += sum(t.rows for t in texts)
            for exit_layer, loss, agree in results:
                sums[exit_layer] = [a + b for a, b in zip(sums[exit_layer], (loss.item(), agree.item(), 1))]
            step += 1
            if step % self.s.log_every == 0:
                parts = ", ".join(f"E={e}: loss {a / n:.3f} agreement {b / n:.3f}" for e, (a, b, n) in sums.items() if n)
                speed = seen / (time.monotonic() - started)
                print(f"step {step} of {self.steps}, {parts}, {speed:.0f} tokens/s", flush=True)
                sums = {e: [0.0, 0.0, 0] for e in self.adapter.exits}
            if time.monotonic() - saved > self.s.save_seconds:
                self.save(path, step, spent(), self.done(step, spent()))
                saved = time.monotonic()
        self.save(path, step, spent(), 1.0)

    def save(self, path: Path, step: int, spent: float, fraction: float) -> None:
        aside = path.with_suffix(".part")
        torch.save({"adapter": self.adapter.state_dict(), "exits": self.adapter.exits, "moments": self.optimizer.moments(),
                    "step": step, "spent": spent, "fraction": fraction, "settings": asdict(self.s),
                    "frequencies": frequencies(self.texts, self.model.c.vocab)}, aside)
        aside.rename(path)
