"""What a model's exits are worth, and what tuning cost its last layer, on prompts that the tuning never saw."""
from dataclasses import dataclass, field

import torch

from .distil import answer
from .model import Llama


@dataclass
class Rounds:
    """Counts over the rounds of greedy self-speculation at one exit: drafted = accepted + rejected."""

    drafted: int = 0
    accepted: int = 0
    rejected: int = 0
    rounds: int = 0
    agreed: int = 0
    tokens: int = 0

    def add(self, agree: list[bool], length: int) -> None:
        """Play the rounds over one answer.

        `agree[i]` says that the exit, given the true text, picks token i as the last layer does. Greedy drafts follow
        the true text up to their first mistake, so this decides every round exactly.
        """
        self.agreed, self.tokens, at = self.agreed + sum(agree), self.tokens + len(agree), 0
        while at < len(agree):
            drafted, kept = min(length, len(agree) - at), 0
            while kept < drafted and agree[at + kept]:
                kept += 1
            self.drafted, self.accepted = self.drafted + drafted, self.accepted + kept
            self.rejected, self.rounds = self.rejected + drafted - kept, self.rounds + 1
            at += kept + 1

    def report(self) -> dict:
        return {"agreement": round(self.agreed / max(1, self.tokens), 4),
                "acceptance": round(self.accepted / max(1, self.drafted), 4),
                "mean_accepted_length": round((self.accepted + self.rounds) / max(1, self.rounds), 3),
                "drafted": self.drafted, "accepted": self.accepted, "rejected": self.rejected}


@dataclass
class Drift:
    """How far the last layer moved from the published model's, over the tokens of answers."""

    tokens: int = 0
    same: int = 0
    kl: float = 0.0
    nll: float = 0.0
    detail: dict = field(default_factory=dict)

    def add(self, reference: torch.Tensor, logits: torch.Tensor, tokens: torch.Tensor) -> None:
        """Logits [rows, vocab] of the published and the tuned model, and the tokens that came."""
        p, q = reference.float().log_softmax(-1), logits.float().log_softmax(-1)
        self.tokens, self.same = self.tokens + len(p), self.same + int((p.argmax(-1) == q.argmax(-1)).sum())
        self.kl += (p.exp() * (p - q)).sum().item()
        self.nll -= q[torch.arange(len(q), device=q.device), tokens].sum().item()

    def report(self) -> dict:
        n = max(1, self.tokens)
        return {"same_choice": round(self.same / n, 4), "kl": round(self.kl / n, 5),
                "perplexity": round(float(torch.tensor(self.nll / n).exp()), 4), "tokens": self.tokens}


def answer_hiddens(model: Llama, ids: list[int], start: int, want) -> dict[int, torch.Tensor]:
    """{layer count: hidden states [answer tokens, dim]} that choose the answer tokens."""
    device = model.head_weight.device
    hiddens = model.hiddens(torch.tensor([ids[:-1]], device=device), want)
    return {end: h[0, start - 1:] for end, h in hiddens.items()}


def greedy_answers(model: Llama, prompts: list[list[int]], max_new: int, eos: int, batch: int):
    """Greedy answers of `model`, prompts of like length together."""
    prompts, found = sorted(prompts, key=len), []
    for i in range(0, len(prompts), batch):
        now = prompts[i:i + batch]
        found += answer(model, now, [0.0] * len(now), max_new, eos)
    return [(a.ids, a.start) for a in found]


@torch.inference_mode()
def exits_report(model: Llama, texts, exits: list[int], length: int) -> dict:
    """{exit: Rounds.report()} over the model's own greedy answers [(ids, answer start)]."""
    rounds = {e: Rounds() for e in exits}
    for ids, start in texts:
        hiddens = answer_hiddens(model, ids, start, {*exits, model.c.layers})
        final = model.head(hiddens[model.c.layers]).argmax(-1)
        for e in exits:
            rounds[e].add((model.head(hiddens[e]).argmax(-1) == final).tolist(), length)
    return {e: r.report() for e, r in rounds.items()}


@torch.inference_mode()
def last_states(model: Llama, texts) -> list[torch.Tensor]:
    """Hidden states after the last layer [answer tokens, dim] over each of `texts`."""
    last = model.c.layers
    return [answer_hiddens(model, ids, start, {last})[last] for ids, start in texts]


@torch.inference_mode()
def drift_report(model: Llama, published: Llama, texts, states=None) -> dict:
    """Drift of the last layer over `texts`, the published model's own answers (perplexity is over the same).

    `states` are the published model's `last_states`, where they are known.
    """
    drift = Drift()
    for (ids, start), theirs in zip(texts, states or last_states(published, texts)):
        ours = model.head(answer_hiddens(model, ids, start, {model.c.layers})[model.c.layers])
        drift.add(published.head(theirs), ours, torch.tensor(ids[start:], device=ours.device))
    return drift.report()
