"""Stage 2: layer dropout and early-exit losses (LayerSkip, sections 4.1 and 4.2), by the clock.

Every sequence runs to the deepest shallow exit. Only a share of them runs on through all layers, to train the deeper
exits and to hold the last layer where the published model has it: the shallow exits are what drafting needs, and they
cost a fifth of a full pass. The weight of the last layer is steered so that its agreement with the published model
follows a rising line that ends at the goal.
"""
import math
import random
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn as nn

from .batches import Rows, stream
from .distil import Answer
from .hold import Keeper, Sink
from .losses import Target, Vocabulary, divergence, draw_vocabulary, feature_distance, head_columns, make_target
from .model import Llama
from .optimizers import Optimizers

BROKEN_STEPS = 20


@dataclass
class Settings:
    """How to train; the README says what for.

    `boundary` > 0 trains only the layers below it and holds the state there, so that the layers above, which stay as
    they are, give what they gave before; with `last_weight` > 0 the last layer's distribution is held too, through
    them. 0 trains all layers and holds the last one's distribution.
    """

    seconds: float
    exits: list[int]
    deep_exits: list[int]
    rotate: int = 0
    boundary: int = 0
    last_weight: float = 0.0
    deep_share: float = 0.5
    deep_weight: float = 0.3
    batch_tokens: int = 1024
    accumulate: int = 1
    optimizer: str = "adamw"
    lr: float = 5e-4
    upper_lr: float = 0.3
    embedding_lr: float = 0.0
    warmup: int = 30
    weight_decay: float = 0.01
    temperature: float = 1.0
    hard: float = 0.3
    feature: float = 0.5
    other_tokens: int = 2048
    sink: float = 1.0
    keep_weight: float = 0.0
    keep_from: float = 0.85
    keep_goal: float = 0.96
    p_max: float = 0.0
    ema: float = 0.99
    log_every: int = 10
    save_seconds: float = 600.0
    max_steps: int = 0
    seed: int = 1


class Trainer:
    """One timed run over `answers`; `model` ends as the moving average of its weights.

    `published` is on the device of `model`. `state` is the checkpoint of an earlier run, whose weights `model` has;
    `first` is where on the schedule (0 to 1) the run begins: above 0 it continues a run that was cut short.
    """

    def __init__(self, model: Llama, answers: list[Answer], s: Settings, published: Llama,
                 out: Path | None = None, state: dict | None = None, first: float = 0.0):
        self.model, self.answers, self.s, self.out, state = model, answers, s, out, state or {}
        self.device = model.head_weight.device
        self.published, self.sink = published, Sink(published)
        self.teacher_head = published.head_weight.detach()
        self.rng, self.keeper = random.Random(s.seed), Keeper(s, state.get("keep_weight"))
        self.named = self.choose_parameters()
        self.optimizers = self.make_optimizers()
        self.optimizers.restore(state.get("moments", {}))
        average = state.get("average", {})
        self.average = {name: average.get(name, p).detach().to(self.device, copy=True) for name, p in self.named.items()}
        self.averaged = state.get("averaged", 0)
        self.first, self.fraction = first, first
        self.step, self.rows, self.broken, self.seen, self.history = 0, 0, 0, [], []

    def choose_parameters(self) -> dict[str, nn.Parameter]:
        """The layers train; the final norm is shared by all exits and stays, and so does the head unless asked."""
        chosen = {}
        for name, p in self.model.named_parameters():
            head = name.startswith("lm_head") or "embed_tokens" in name
            below = ".layers." in name and int(name.split(".")[2]) < (self.s.boundary or self.model.c.layers)
            p.requires_grad_(below or (head and self.s.embedding_lr > 0))
            if p.requires_grad:
                chosen[name] = p
        return chosen

    def make_optimizers(self) -> Optimizers:
        deepest = max(self.s.exits)
        rate = lambda name: self.s.upper_lr if int(name.split(".")[2]) >= deepest else 1.0
        scales = {n: rate(n) if ".layers." in n else self.s.embedding_lr for n in self.named}
        return Optimizers(self.named, scales, self.s.lr, self.s.weight_decay, self.s.optimizer == "muon")

    def run(self) -> dict:
        """Train for `seconds` of the wall clock; returns what to report."""
        begin = saved = time.monotonic()
        batches = stream(self.answers, self.s.batch_tokens, self.rng, self.device)
        while True:
            spent = time.monotonic() - begin
            self.fraction = self.first + (1 - self.first) * min(1.0, spent / self.s.seconds)
            if self.finished(spent):
                break
            facts = self.train_step(islice(batches, self.s.accumulate), self.fraction)
            if self.step % self.s.log_every == 0:
                self.report(facts, spent)
            if self.out and time.monotonic() - saved > self.s.save_seconds:
                self.save()
                saved = time.monotonic()
        if self.out:
            self.save()
        self.load_average()
        return {"steps": self.step, "answer_tokens": self.rows, "settings": asdict(self.s), "history": self.history}

    def finished(self, spent: float) -> bool:
        if self.broken >= BROKEN_STEPS:
            print(f"stopped: {self.broken} steps in a row gave no finite gradient; the average is from before", flush=True)
        return spent >= self.s.seconds or self.broken >= BROKEN_STEPS or 0 < self.s.max_steps <= self.step

    def train_step(self, batches: Iterable[Rows], fraction: float) -> dict:
        """Forward and backward of `accumulate` batches, and one update; returns what was measured on the way."""
        self.optimizers.zero_grad()
        found = [self.backward(rows, fraction) for rows in batches]
        facts = dict(found[-1])
        norm = nn.utils.clip_grad_norm_(list(self.named.values()), 1.0).item()
        self.step, facts["norm"] = self.step + 1, norm
        if not math.isfinite(norm):
            self.broken += 1
            return facts
        self.broken, self.seen = 0, self.seen + found
        self.optimizers.step(self.s.lr * self.schedule(fraction))
        self.update_average()
        kept = facts["agree_last"] if "agree_last" in facts else facts["agree_state"]
        self.keeper.update(float(kept), fraction)
        return facts

    def backward(self, rows: Rows, fraction: float) -> dict:
        """Adds the gradients of a batch; returns what was measured."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss, facts = self.loss(rows, fraction)
        (loss / self.s.accumulate).backward()
        self.rows += len(rows.at)
        return {k: v.detach() if torch.is_tensor(v) else v for k, v in facts.items()}

    def schedule(self, fraction: float) -> float:
        warm = min(1.0, (self.step + 1) / self.s.warmup)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fraction)))

    def loss(self, rows: Rows, fraction: float):
        """The weighted sum over the exits of this step, and the last layer's share."""
        c, facts = self.model.c, {}
        vocabulary = draw_vocabulary(rows.top, c.vocab, self.s.other_tokens)
        columns = head_columns(self.model.head_weight, vocabulary)
        teacher_columns = head_columns(self.teacher_head, vocabulary).to(rows.hidden.dtype)
        teacher = make_target(rows.hidden, teacher_columns, vocabulary, self.s.temperature, self.s.hard)
        x, rope, drop = self.model.embed(rows.ids), self.rope(rows.ids), self.draw_drop(len(rows.ids))
        feature, total, at = self.s.feature * (1 - fraction), 0.0, 0
        for end in self.pick(self.s.exits):
            x, at = self.model.run(x, rope, at, end, drop), end
            total = total + self.exit_loss(f"E{end}", x, rows, teacher, columns, vocabulary, feature, facts)
        x, rows, teacher, drop = self.deep_part(x, rows, teacher, drop)
        for end in self.pick(self.s.deep_exits):
            x, at = self.model.run(x, rope, at, end, drop), end
            part = self.exit_loss(f"E{end}", x, rows, teacher, columns, vocabulary, feature, facts)
            total = total + self.s.deep_weight * part
        facts["vocabulary"], held, end = len(columns), 0.0, self.s.boundary or c.layers
        x = self.model.run(x, rope, at, end, drop)
        if self.s.boundary:
            held = self.boundary_loss(x, rope, rows, facts)
        if self.s.last_weight or not self.s.boundary:
            x = self.model.run(x, rope, end, c.layers, drop)
            exact = make_target(rows.hidden, teacher_columns, vocabulary, 1.0, 0.0)
            last = self.exit_loss("last", x, rows, exact, columns, vocabulary, self.s.feature, facts)
            held = held + (self.s.last_weight or 1.0) * last
        return total + self.keeper.weight * held, facts

    def exit_loss(self, name, x, rows: Rows, teacher: Target, columns, vocabulary: Vocabulary, feature, facts):
        """Loss of the exit `name` with the states `x` [batch, seq, dim]; notes its KL and agreement in `facts`."""
        normed = self.model.normed(x.reshape(-1, x.shape[-1])[rows.at])
        kl, agree = divergence(teacher, normed, columns, vocabulary)
        facts[f"kl_{name}"], facts[f"agree_{name}"] = kl, agree
        loss = kl + feature * feature_distance(teacher, normed)
        end = self.model.c.layers if name == "last" else int(name[1:])
        return loss + self.s.sink * self.sink.distance(rows.first[0], end, x[0, 0])

    def boundary_loss(self, x, rope, rows: Rows, facts) -> torch.Tensor:
        """Share of the variance of the published state at the boundary that `x` misses, averaged over dimensions."""
        with torch.no_grad():
            goal = self.published.run(self.published.embed(rows.ids), rope, 0, self.s.boundary)
        # without the first token, far larger than all others, which has a loss of its own
        own, goal = (z.reshape(-1, z.shape[-1])[rows.body].float() for z in (x, goal))
        share = ((own - goal).square().mean(0) / goal.var(0)).mean()
        facts["kl_state"], facts["agree_state"] = share, 1 - share
        return share + self.s.sink * self.sink.distance(rows.first[0], self.s.boundary, x[0, 0])

    def rope(self, ids):
        return self.model.rope(torch.arange(ids.shape[1], device=self.device), torch.float32)

    def pick(self, exits: list[int]) -> list[int]:
        """All exits, or `rotate` of them in turn: the rotating curriculum of the paper (section 4.2)."""
        if not self.s.rotate or len(exits) <= self.s.rotate:
            return sorted(exits)
        stride = math.ceil(len(exits) / self.s.rotate)
        return sorted(exits)[self.step % stride::stride]

    def draw_drop(self, batch: int):
        """Which sequences skip which layer: the rate grows from 0 to `p_max` with depth (section 4.1)."""
        if not self.s.p_max:
            return None
        layers = self.model.c.layers
        rates = [self.s.p_max * (math.exp(i * math.log(2) / (layers - 1)) - 1) for i in range(layers)]
        drawn = [[self.rng.random() < rate for _ in range(batch)] for rate in rates]
        there = torch.tensor(drawn).to(self.device, non_blocking=True)
        return [there[i] if any(drawn[i]) else None for i in range(layers)]

    def deep_part(self, x, rows: Rows, teacher: Target, drop):
        """The sequences of the batch that run through all layers, a different part each time."""
        count = max(1, round(len(x) * self.s.deep_share))
        if count == len(x):
            return x, rows, teacher, drop
        begin = self.rng.randrange(len(x) - count + 1)
        part, own = rows.part(begin, count)
        drop = drop and [d if d is None else d[begin:begin + count] for d in drop]
        return x[begin:begin + count], part, teacher.part(own), drop

    @torch.no_grad()
    def update_average(self, every: int = 4) -> None:
        """Moving average of the weights, shorter at first; every few steps, for it costs memory bandwidth."""
        if self.step % every:
            return
        self.averaged += every
        keep = min(self.s.ema ** every, self.averaged / (self.averaged + 10.0 * every))
        torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in self.named.values()], 1 - keep)

    def load_average(self) -> None:
        with torch.no_grad():
            for name, p in self.named.items():
                p.copy_(self.average[name])

    def save(self) -> None:
        """A checkpoint to resume from: raw weights, their average (what to use), and the optimizer's memory."""
        state = {"weights": {n: p.detach() for n, p in self.named.items()}, "average": self.average, "averaged": self.averaged,
                 "moments": self.optimizers.moments(), "keep_weight": self.keeper.weight, "step": self.step, "fraction": self.fraction}
        partial = self.out / "state.pt.part"
        torch.save(state, partial)
        partial.rename(self.out / "state.pt")

    def report(self, facts: dict, seconds: float) -> None:
        """Means since the last report, for exits that take turns are not all in one step."""
        names = list(dict.fromkeys(k for seen in self.seen for k in seen))
        values = {k: [float(seen[k]) for seen in self.seen if k in seen] for k in names}
        self.seen, means = [], {k: sum(v) / len(v) for k, v in values.items()}
        self.history.append({"step": self.step, "seconds": round(seconds), **{k: round(v, 4) for k, v in means.items()}})
        order = sorted((k[6:] for k in names if k.startswith("agree_")), key=lambda k: int(k[1:]) if k[0] == "E" else 999)
        exits = " ".join(f"{k} {means['kl_' + k]:.3f}/{100 * means['agree_' + k]:.0f}%" for k in order)
        kept = f"kept {100 * self.keeper.agree:.1f}%" if self.keeper.agree is not None else "nothing kept"
        print(f"step {self.step} rows {self.rows} {seconds:.0f} s | {exits} | {kept} weight {self.keeper.weight:.2f} "
              f"norm {facts['norm']:.2f} vocab {facts.get('vocabulary', 0)}", flush=True)
