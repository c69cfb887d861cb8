"""What training minimises: the distance of a student's exit to the published model's own last layer.

A vocabulary of 49,152 makes the head dearer than ten layers. So on slow machines the softmax runs over a part of the
vocabulary: every token that is likely for some row, which counts as itself, and a uniform sample of the others, which
stand for all of them by an importance weight on their logits. On fast ones the logits of a whole batch would not fit:
32,768 rows of the whole vocabulary are 6 GB, an exit needs several such, and a step has half a dozen exits. So they are
made, used and forgotten for `CHUNK` rows at a time, and what is kept of an exit is the gradient of its normed states.
"""
from dataclasses import dataclass

import torch
import torch.nn.functional as F


CHUNK = 2048


@dataclass
class Vocabulary:
    """A part of the vocabulary: token `ids` [n] (None for all), and what to add to each logit."""

    ids: torch.Tensor | None
    shift: torch.Tensor | float


@dataclass
class Target:
    """The teacher at some rows: distribution [rows, n] over a `Vocabulary`, its entropy and choice [rows], its hidden state."""

    probs: torch.Tensor
    entropy: torch.Tensor
    choice: torch.Tensor
    hidden: torch.Tensor

    def part(self, rows: slice) -> "Target":
        return Target(self.probs[rows], self.entropy[rows], self.choice[rows], self.hidden[rows])


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


def product_type(x: torch.Tensor) -> torch.dtype:
    """The type of matrix products on the device of `x`: autocast's, where that is on."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def chunks(count: int) -> list[slice]:
    return [slice(i, min(i + CHUNK, count)) for i in range(0, count, CHUNK)]


@torch.no_grad()
def make_target(hidden, columns, vocabulary: Vocabulary, temperature: float, hard: float) -> Target:
    """The teacher's distribution from its normed hidden states [rows, dim].

    `temperature` < 1 and `hard`, the share of the argmax alone, favour greedy acceptance over the tail.
    """
    count = len(hidden)
    probs = torch.empty(count, len(columns), device=hidden.device)
    entropy, choice = probs.new_empty(count), torch.empty(count, dtype=torch.long, device=hidden.device)
    for rows in chunks(count):
        logits = F.linear(hidden[rows], columns).float().add_(vocabulary.shift)
        choice[rows] = logits.argmax(-1)
        p = torch.softmax(logits.div_(temperature), -1, out=probs[rows]).mul_(1 - hard)
        p.scatter_add_(1, choice[rows, None], torch.full_like(p[:, :1], hard))
        entropy[rows] = torch.special.entr(p).sum(-1)
    return Target(probs, entropy, choice, hidden)


class CrossEntropy(torch.autograd.Function):
    """Mean cross entropy of a target to a student's states, and the share of rows with the target's choice.

    The gradients are found together with the loss, while the logits of a chunk are there.
    """

    @staticmethod
    def forward(ctx, normed, columns, probs, choice, shift):
        kind, device = product_type(normed), normed.device.type
        need_columns, small = ctx.needs_input_grad[1], columns.to(kind)
        total, agreed = normed.new_zeros((), dtype=torch.float32), normed.new_zeros((), dtype=torch.float32)
        grad = torch.empty_like(normed, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        grad_columns = torch.zeros_like(columns, dtype=torch.float32) if need_columns else None
        with torch.autocast(device, enabled=False):
            for rows in chunks(len(normed)):
                x, p = normed[rows].to(kind), probs[rows]
                logits = F.linear(x, small).float().add_(shift)
                agreed += (logits.argmax(-1) == choice[rows]).sum()
                scale = logits.logsumexp(-1, keepdim=True)
                total += scale.sum() - (p * logits).sum()
                if grad is None and grad_columns is None:
                    continue
                error = logits.sub_(scale).exp_().sub_(p).to(kind)
                if grad is not None:
                    grad[rows] = (error @ small).float()
                if need_columns:
                    grad_columns += (error.T @ x).float()
        ctx.save_for_backward(grad, grad_columns)
        ctx.count, ctx.kinds = len(normed), (normed.dtype, columns.dtype)
        agreed = agreed / ctx.count
        ctx.mark_non_differentiable(agreed)
        return total / ctx.count, agreed

    @staticmethod
    def backward(ctx, of_loss, _):
        found = [None if g is None else (g * (of_loss / ctx.count)).to(kind)
                 for g, kind in zip(ctx.saved_tensors, ctx.kinds)]
        return *found, None, None, None


def divergence(target: Target, normed, columns, vocabulary: Vocabulary):
    """(KL of the target to the student in nats a row, share of rows with the teacher's choice) of normed states."""
    cross, agree = CrossEntropy.apply(normed, columns, target.probs, target.choice, vocabulary.shift)
    return cross - target.entropy.mean(), agree


def feature_distance(target: Target, normed) -> torch.Tensor:
    """Squared distance of normed hidden states to the teacher's, relative to their size: a signal for each dimension."""
    teacher = target.hidden.float()
    return (normed.float() - teacher).square().sum(-1).div(teacher.square().sum(-1)).mean()
