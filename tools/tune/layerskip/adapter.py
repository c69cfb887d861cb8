"""Exit adapters: how a shallow layer of any Llama drafts for its last one.

An adapter sees the state h_E after exit layer E, and the last layer's state h_L of the token before, which the last verify
has left behind. A matrix P of each exit brings both into the last layer's space, and one Llama block, which all exits share
and which has its own keys and values, makes of it what the model's own final norm and head read:

    x_t = P_E [norm(h_E(t)); norm(h_L(t - 1))]      h_L(-1) = 0, norms without weights
    o_t = block(x_0 ... x_t)                        logits = head(final norm(o_t))

In a chain of drafts, o takes the place of the states h_L that do not exist yet. The idea of drafting from the last layer's
states is EAGLE's (arXiv 2401.15077).
"""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F

from .model import Layer, Llama, attend_in_products, for_products, rotate


def plain_norm(x: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm without weights, float32."""
    return F.rms_norm(x.float(), x.shape[-1:], None, eps)


def shift(x: torch.Tensor, count: int = 1) -> torch.Tensor:
    """`x` [batch, seq, ...] moved to later positions, zeros at the first ones."""
    return torch.cat((torch.zeros_like(x[:, :count]), x[:, :-count]), 1) if count else x


class Adapter(nn.Module):
    """A matrix for each exit, and the block that they share, which starts as a copy of the model's last layer."""

    def __init__(self, model: Llama, exits: list[int]):
        super().__init__()
        self.c, self.exits = model.c, list(exits)
        self.proj = nn.ModuleDict({str(e): nn.Linear(2 * model.c.dim, model.c.dim, bias=False) for e in exits})
        self.block: Layer = copy.deepcopy(model.model.layers[-1]).float().requires_grad_(True)

    def inputs(self, exit_layer: int, h_exit, previous):
        """x [batch, seq, dim] of the states after the exit layer, and the normed last states of the tokens before."""
        both = torch.cat((plain_norm(h_exit, self.c.norm_eps), previous), -1)
        return self.proj[str(exit_layer)](for_products(both))

    def chain(self, model: Llama, exit_layer: int, h_exit, h_last, depths: int) -> list[torch.Tensor]:
        """Outputs o [batch, seq, dim] at each depth of a chain of drafts over the true text [batch, seq].

        The output of depth d at position t is what the adapter says there if the last verified position is t - d: the
        states h_L after that one, and the keys and values, are those of the adapter's own outputs.
        """
        rope = model.rope(torch.arange(h_exit.shape[1], device=h_exit.device), torch.float32)
        previous, known, outputs = shift(plain_norm(h_last, self.c.norm_eps)), [], []
        for _ in range(depths):
            x = self.inputs(exit_layer, h_exit, previous)
            o = x + self.attend(for_products(self.block.input_layernorm(x)), rope, known)
            o = o + self.block.mlp(for_products(self.block.post_attention_layernorm(o)))
            outputs.append(o)
            previous = shift(plain_norm(o, self.c.norm_eps))
        return outputs

    def attend(self, x, rope, known: list) -> torch.Tensor:
        """Attention at the next depth; `known` are the keys and values of the depths before, and these are added.

        At depth d, position t sees those of depth 1 up to t - d + 1, and then one of each later depth, the last its own.
        """
        a, c, (b, t, _) = self.block.self_attn, self.c, x.shape
        split = lambda z, heads: z.view(b, t, heads, c.head_dim).transpose(1, 2)
        q = rotate(split(a.q_proj(x), c.heads), rope).to(x.dtype)
        k = rotate(split(a.k_proj(x), c.kv_heads), rope).to(x.dtype)
        known.append((k, split(a.v_proj(x), c.kv_heads)))
        depth = len(known)
        if depth == 1:
            y = attend_in_products(q, *known[0])
        else:
            wide = lambda z: z.repeat_interleave(c.heads // c.kv_heads, 1)
            later = [tuple(shift(z.transpose(1, 2), i).transpose(1, 2) for z in known[depth - 1 - i]) for i in range(depth - 1)]
            hidden = torch.full((t, t), float("-inf"), device=x.device).triu_(2 - depth)
            scores = q @ wide(known[0][0]).transpose(2, 3) * c.head_dim ** -0.5 + hidden
            own = [(q * wide(k)).sum(-1, keepdim=True) * c.head_dim ** -0.5 for k, _ in later]
            p = torch.softmax(torch.cat((scores, *own), -1).float(), -1).to(x.dtype)
            y = p[..., :t] @ wide(known[0][1])
            for i, (_, v) in enumerate(later):
                y = y + p[..., t + i, None] * wide(v)
        return a.o_proj(y.transpose(1, 2).reshape(b, t, c.heads * c.head_dim))

    @torch.no_grad()
    def solve(self, pairs, ridge: float = 1e-3) -> dict[int, float]:
        """Start each P at the least-squares map to the direction of h_L, at h_L's usual size.

        `pairs(exit)` yields (h_exit, h_last, previous) [rows, dim]. Returns the share of the direction's variance explained.
        """
        found = {}
        for exit_layer in self.exits:
            a = y = scale = square = count = 0
            for h_exit, h_last, previous in pairs(exit_layer):
                x = torch.cat((plain_norm(h_exit, self.c.norm_eps), plain_norm(previous, self.c.norm_eps)), -1)
                goal = plain_norm(h_last, self.c.norm_eps)
                a, y, square = a + x.T @ x, y + x.T @ goal, square + goal.square().sum().item()
                scale += h_last.float().square().mean(-1).sqrt().sum().item()
                count += len(x)
            a = a + ridge * a.diagonal().mean() * torch.eye(len(a), device=a.device)
            p = torch.linalg.solve(a, y)
            found[exit_layer] = ((p * y).sum() / square).item()
            self.proj[str(exit_layer)].weight.copy_(p.T * (scale / count))
        return found
