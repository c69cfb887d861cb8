"""Stage 2: layer dropout and early-exit losses (LayerSkip, sections 4.1 and 4.2), by the clock.

Every sequence runs to the deepest shallow exit. Only a share of them runs on through all layers, to train the deeper
exits and to hold the last layer where the published model has it: the shallow exits are what drafting needs, and they
cost a fifth of a full pass. The weight of the last layer is steered so that its agreement with the published model
follows a rising line that ends at the goal.
"""
import math
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn as nn

from .distil import Answer
from .losses import Target, Vocabulary, divergence, draw_vocabulary, feature_distance, head_columns, make_target
from .model import Llama


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


@dataclass
class Rows:
    """A batch of sequences on the device: `ids` [batch, seq], how long each is, and the flat positions of the answers."""

    ids: torch.Tensor
    lengths: torch.Tensor
    at: torch.Tensor
    sequence: torch.Tensor
    hidden: torch.Tensor
    top: torch.Tensor


def make_batches(answers: list[Answer], tokens: int, rng: random.Random) -> list[list[Answer]]:
    """Answers of like length together, at most `tokens` positions with padding, in random order."""
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


def pad(batch: list[Answer], device) -> Rows:
    """Sequences padded on the right; position i is a row if token i + 1 belongs to the answer."""
    width = max(len(a.ids) for a in batch) - 1
    ids, at, sequence = torch.zeros(len(batch), width, dtype=torch.long), [], []
    for index, answer in enumerate(batch):
        ids[index, :len(answer.ids) - 1] = torch.tensor(answer.ids[:-1])
        at.append(torch.arange(answer.start - 1, len(answer.ids) - 1) + index * width)
        sequence.append(torch.full((answer.rows,), index))
    hidden, top = torch.cat([a.hidden for a in batch]), torch.cat([a.top for a in batch])
    lengths = torch.tensor([len(a.ids) - 1 for a in batch])
    return Rows(ids.to(device), lengths.to(device), torch.cat(at).to(device), torch.cat(sequence).to(device), hidden.to(device),
                top.to(device))


class Keeper:
    """Steers the weight of the last layer's loss by its agreement with the published model.

    It starts at `keep_weight`; where that is 0, where the resumed run left it, or at 2.
    """

    def __init__(self, s: Settings, weight: float | None = None):
        self.s, self.weight, self.agree = s, s.keep_weight or weight or 2.0, None

    def update(self, agree: float, fraction: float) -> None:
        self.agree = agree if self.agree is None else 0.95 * self.agree + 0.05 * agree
        goal = self.s.keep_from + (self.s.keep_goal - self.s.keep_from) * min(1.0, fraction / 0.85)
        pull = min(0.3, max(-0.3, goal - self.agree))
        self.weight = min(100.0, max(0.3, self.weight * math.exp(0.05 * pull)))


class Sink:
    """Holds the first token of a sequence, on which later layers park their attention.

    It sees only itself, so its states are the same in every sequence, and in small Llamas a hundred times longer than
    others. Exits have no use for it, but when it is lost, all layers above are.
    """

    def __init__(self, published: Llama):
        self.published, self.known = published, {}

    @torch.no_grad()
    def states(self, token: int) -> dict[int, torch.Tensor]:
        if token not in self.known:
            ids = torch.tensor([[token]], device=self.published.head_weight.device)
            with torch.autocast(ids.device.type, enabled=False):
                found = self.published.hiddens(ids, set(range(1, self.published.c.layers + 1)))
            self.known[token] = {end: h[0, 0].float() for end, h in found.items()}
        return self.known[token]

    def distance(self, token: int, end: int, x: torch.Tensor) -> torch.Tensor:
        """Squared distance of the first token's state `x` [dim] after `end` layers, relative to its size."""
        goal = self.states(token)[end].to(x.device)
        return (x.float() - goal).square().sum() / goal.square().sum()


class Trainer:
    """One timed run over `answers`; `model` ends as the moving average of its weights.

    `first` is where on the schedule (0 to 1) the run begins: above 0 it continues a run that was cut short.
    """

    def __init__(self, model: Llama, answers: list[Answer], s: Settings, published: Llama,
                 out: Path | None = None, state: dict | None = None, first: float = 0.0):
        self.model, self.answers, self.s, self.out = model, answers, s, out
        self.device = model.head_weight.device
        self.published, self.sink = published, Sink(published)
        self.teacher_head = published.head_weight.detach().to(self.device)
        self.rng, self.keeper = random.Random(s.seed), Keeper(s, (state or {}).get("keep_weight"))
        self.named = self.choose_parameters()
        self.optimizer = self.make_optimizer()
        if state and "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        average = (state or {}).get("average", self.named)
        self.average = {name: average[name].detach().clone().to(self.device) for name in self.named}
        self.first, self.step, self.rows, self.history = first, 0, 0, []

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

    def make_optimizer(self):
        deepest, groups = max(self.s.exits), {}
        for name, p in self.named.items():
            if ".layers." not in name:
                key = (self.s.embedding_lr, 0.0)
            else:
                upper = int(name.split(".")[2]) >= deepest
                key = (self.s.upper_lr if upper else 1.0, self.s.weight_decay if p.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(p)
        groups = [{"params": ps, "weight_decay": wd, "scale": scale} for (scale, wd), ps in groups.items()]
        return torch.optim.AdamW(groups, lr=self.s.lr, betas=(0.9, 0.97), fused=True)

    def run(self) -> dict:
        """Train for `seconds` of the wall clock; returns what to report."""
        begin = saved = time.monotonic()
        batches = []
        while not self.finished(begin):
            batches = batches or make_batches(self.answers, self.s.batch_tokens, self.rng)
            fraction = min(1.0, (time.monotonic() - begin) / self.s.seconds)
            facts = self.train_step(pad(batches.pop(), self.device), self.first + (1 - self.first) * fraction)
            if self.step % self.s.log_every == 0:
                self.report(facts, time.monotonic() - begin)
            if self.out and time.monotonic() - saved > self.s.save_seconds:
                self.save()
                saved = time.monotonic()
        self.load_average()
        return {"steps": self.step, "answer_tokens": self.rows, "settings": asdict(self.s), "history": self.history}

    def finished(self, begin: float) -> bool:
        return time.monotonic() - begin >= self.s.seconds or (self.s.max_steps and self.step >= self.s.max_steps)

    def train_step(self, rows: Rows, fraction: float) -> dict:
        """One forward, backward and update; returns what was measured on the way."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.s.lr * group["scale"] * self.schedule(fraction)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss, facts = self.loss(rows, fraction)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        facts["norm"] = nn.utils.clip_grad_norm_(list(self.named.values()), 1.0).item()
        self.optimizer.step()
        self.step, self.rows = self.step + 1, self.rows + len(rows.at)
        self.update_average()
        self.keeper.update(facts.get("agree_last", facts.get("agree_state")), fraction)
        return facts

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
        exact = make_target(rows.hidden, teacher_columns, vocabulary, 1.0, 0.0)
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
            last = self.exit_loss("last", x, rows, exact, columns, vocabulary, self.s.feature, facts)
            held = held + (self.s.last_weight or 1.0) * last
        return total + self.keeper.weight * held, facts

    def exit_loss(self, name, x, rows: Rows, teacher: Target, columns, vocabulary: Vocabulary, feature, facts):
        """Loss of the exit `name` with the states `x` [batch, seq, dim]; notes its KL and agreement in `facts`."""
        normed = self.model.normed(x.reshape(-1, x.shape[-1])[rows.at])
        kl, agree = divergence(teacher, normed, columns, vocabulary)
        facts[f"kl_{name}"], facts[f"agree_{name}"] = kl.item(), agree.item()
        loss = kl + feature * feature_distance(teacher, normed)
        end = self.model.c.layers if name == "last" else int(name[1:])
        return loss + self.s.sink * self.sink.distance(rows.ids[0, 0].item(), end, x[0, 0])

    def boundary_loss(self, x, rope, rows: Rows, facts) -> torch.Tensor:
        """Share of the variance of the published state at the boundary that `x` misses, averaged over dimensions."""
        with torch.no_grad():
            goal = self.published.run(self.published.embed(rows.ids), rope, 0, self.s.boundary).float()
        own = torch.arange(x.shape[1], device=x.device)[None] < rows.lengths[:, None]
        own[:, 0] = False       # the first token, far larger than all others, has a loss of its own
        goal, missed = goal[own], x.float()[own] - goal[own]
        share = (missed.square().mean(0) / goal.var(0)).mean()
        facts["kl_state"], facts["agree_state"] = share.item(), 1 - share.item()
        return share + self.s.sink * self.sink.distance(rows.ids[0, 0].item(), self.s.boundary, x[0, 0])

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
        return [torch.rand(batch, device=self.device) < rate for rate in rates]

    def deep_part(self, x, rows: Rows, teacher: Target, drop):
        """The sequences of the batch that run through all layers, a different part each time."""
        count = max(1, round(len(x) * self.s.deep_share))
        if count == len(x):
            return x, rows, teacher, drop
        begin = self.rng.randrange(len(x) - count + 1)
        own = (rows.sequence >= begin) & (rows.sequence < begin + count)
        at = rows.at[own] - begin * rows.ids.shape[1]
        part = Rows(rows.ids[begin:begin + count], rows.lengths[begin:begin + count], at, rows.sequence[own], rows.hidden[own], rows.top[own])
        teacher = Target(teacher.probs[own], self.entropy(teacher.probs[own]), teacher.choice[own],
                         teacher.hidden[own])
        drop = drop and [d[begin:begin + count] for d in drop]
        return x[begin:begin + count], part, teacher, drop

    @staticmethod
    def entropy(probs):
        return -torch.special.xlogy(probs, probs).sum(-1).mean()

    @torch.no_grad()
    def update_average(self, every: int = 4) -> None:
        """Moving average of the weights, shorter at first; every few steps, for it costs memory bandwidth."""
        if self.step % every:
            return
        keep = min(self.s.ema ** every, self.step / (self.step + 10.0 * every))
        torch._foreach_lerp_(list(self.average.values()), [p.detach() for p in self.named.values()], 1 - keep)

    def load_average(self) -> None:
        with torch.no_grad():
            for name, p in self.named.items():
                p.copy_(self.average[name])

    def save(self) -> None:
        """A checkpoint to resume from: raw weights, their average, and the optimizer."""
        state = {"weights": {n: p.detach() for n, p in self.named.items()}, "average": self.average,
                 "optimizer": self.optimizer.state_dict(), "keep_weight": self.keeper.weight, "step": self.step}
        partial = self.out / "state.pt.part"
        torch.save(state, partial)
        partial.rename(self.out / "state.pt")

    def report(self, facts: dict, seconds: float) -> None:
        self.history.append({"step": self.step, "seconds": round(seconds), **{k: round(v, 4) for k, v in facts.items()}})
        exits = " ".join(f"{k[6:]} {facts['kl_' + k[6:]]:.3f}/{100 * v:.0f}%" for k, v in facts.items()
                         if k.startswith("agree_"))
        print(f"step {self.step} rows {self.rows} {seconds:.0f} s | {exits} | kept {100 * self.keeper.agree:.1f}% "
              f"weight {self.keeper.weight:.2f} norm {facts['norm']:.2f} vocab {facts['vocabulary']}", flush=True)
