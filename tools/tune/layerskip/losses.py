"""What training minimises: the distance of a student's exit to the published model's own last layer.

A vocabulary of 49,152 makes the head dearer than ten layers. So on slow machines the softmax runs over a part of the
vocabulary: every token that is likely for some row, which counts as itself, and a uniform sample of the others, which
stand for all of them by an importance weight on their logits.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Vocabulary:
    """A part of the vocabulary: token `ids` [n] (None for all), and what to add to each logit."""

    ids: torch.Tensor | None
    shift: torch.Tensor | float


@dataclass
class Target:
    """The teacher at some rows: distribution [rows, n] over a `Vocabulary`, its entropy, its choice, its hidden state."""

    probs: torch.Tensor
    entropy: torch.Tensor
    choice: torch.Tensor
    hidden: torch.Tensor


def draw_vocabulary(top: torch.Tensor, size: int, others: int) -> Vocabulary:
    """All ids in `top`, and `others` more drawn from the rest of a vocabulary of `size`; all of it if `others` is 0."""
    if others == 0:
        return Vocabulary(None, 0.0)
    known = torch.zeros(size, dtype=torch.bool, device=top.device)
    known[top.flatten().long()] = True
    likely, rest = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
    drawn = rest[torch.randperm(len(rest), device=top.device)[:others]]
    shift = torch.zeros(len(likely) + len(drawn), device=top.device)
    if len(drawn):
        shift[len(likely):] = torch.log(torch.tensor(len(rest) / len(drawn)))
    return Vocabulary(torch.cat((likely, drawn)), shift)


def head_columns(head: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
    """The rows of the output matrix [vocab, dim] that belong to `vocabulary`."""
    return head if vocabulary.ids is None else head[vocabulary.ids]


def make_target(hidden, columns, vocabulary: Vocabulary, temperature: float, hard: float) -> Target:
    """The teacher's distribution from its normed hidden states [rows, dim].

    `temperature` < 1 and `hard`, the share of the argmax alone, favour greedy acceptance over the tail.
    """
    with torch.no_grad():
        logits = F.linear(hidden, columns).float() + vocabulary.shift
        choice = logits.argmax(-1)
        probs = (logits / temperature).softmax(-1).mul_(1 - hard)
        probs[torch.arange(len(choice), device=choice.device), choice] += hard
        entropy = -torch.special.xlogy(probs, probs).sum(-1).mean()
    return Target(probs, entropy, choice, hidden)


def divergence(target: Target, normed, columns, vocabulary: Vocabulary):
    """(KL of the target to the student in nats a row, share of rows with the teacher's choice) of normed states."""
    logits = F.linear(normed, columns).float() + vocabulary.shift
    cross = logits.logsumexp(-1) - (target.probs * logits).sum(-1)
    agree = (logits.detach().argmax(-1) == target.choice).float().mean()
    return cross.mean() - target.entropy, agree


def feature_distance(target: Target, normed) -> torch.Tensor:
    """Squared distance of normed hidden states to the teacher's, relative to their size: a signal for each dimension."""
    teacher = target.hidden.float()
    return (normed.float() - teacher).square().sum(-1).div(teacher.square().sum(-1)).mean()
