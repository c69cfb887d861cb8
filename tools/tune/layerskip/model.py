"""A plain Llama whose every layer can be read out: the same arithmetic as the GGUF and Hugging Face models.

Parameter names are those of Hugging Face, so that a state dict is a safetensors file.
"""
import copy
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Config:
    """Shape of a Llama; `tied` says that the head is the embedding matrix."""

    vocab: int
    layers: int
    dim: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_base: float
    norm_eps: float
    tied: bool = True


class Attention(nn.Module):
    """Grouped-query self-attention with half-rotated RoPE."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.dim, c.heads * c.head_dim, bias=False)
        self.k_proj = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.v_proj = nn.Linear(c.dim, c.kv_heads * c.head_dim, bias=False)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.dim, bias=False)

    def forward(self, x, rope, cache=None, mask=None):
        """`x` [batch, seq, dim]; `cache` is a `LayerCache`, `mask` bool broadcastable to [batch, heads, seq, keys]."""
        c, (b, t, _) = self.c, x.shape
        q = rotate(self.q_proj(x).view(b, t, c.heads, c.head_dim).transpose(1, 2), rope)
        k = rotate(self.k_proj(x).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2), rope)
        v = self.v_proj(x).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)
        if cache is not None:
            k, v = cache.append(k, v)
        if t == 1:      # the query heads of a group as the rows of one product: a third of the time on a CPU
            q = q.reshape(b, c.kv_heads, c.heads // c.kv_heads, c.head_dim)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).reshape(b, c.heads, 1, c.head_dim)
        elif mask is not None:      # no fused CUDA kernel takes both a mask and grouped heads
            k, v = (z.repeat_interleave(c.heads // c.kv_heads, 1) for z in (k, v))
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        elif torch.is_autocast_enabled("cpu") and x.device.type == "cpu":
            y = attend_in_products(q, k, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, c.heads * c.head_dim))


def attend_in_products(q, k, v):
    """Causal attention of short sequences as two products and a softmax, for training on a CPU.

    Forward and backward take 0.4 of the time of PyTorch's fused attention there. Scores are rounded to the type of `q`
    [batch, heads, seq, head_dim].
    """
    (b, heads, t, dim), groups = q.shape, k.shape[1]
    q = (q * dim ** -0.5).reshape(b * groups, heads // groups * t, dim)
    k, v = (z.reshape(b * groups, t, dim) for z in (k, v))
    scores = (q @ k.transpose(1, 2)).view(b * groups, heads // groups, t, t)
    future = torch.full((t, t), float("-inf"), dtype=q.dtype, device=q.device).triu_(1)
    return (torch.softmax(scores + future, -1).to(v.dtype).view(b * groups, -1, t) @ v).view(b, heads, t, dim)


class Mlp(nn.Module):
    """SwiGLU feed-forward network."""

    def __init__(self, c: Config):
        super().__init__()
        self.gate_proj = nn.Linear(c.dim, c.ffn, bias=False)
        self.up_proj = nn.Linear(c.dim, c.ffn, bias=False)
        self.down_proj = nn.Linear(c.ffn, c.dim, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def for_products(x: torch.Tensor) -> torch.Tensor:
    """`x` in the type that autocast gives to matrix products: one cast for all that read it, and one copy kept."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class Norm(nn.Module):
    """RMS norm in the dtype of its input."""

    def __init__(self, c: Config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c.dim))
        self.eps = c.norm_eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, c: Config):
        super().__init__()
        self.input_layernorm, self.self_attn = Norm(c), Attention(c)
        self.post_attention_layernorm, self.mlp = Norm(c), Mlp(c)

    def forward(self, x, rope, cache=None, mask=None):
        x = x + self.self_attn(for_products(self.input_layernorm(x)), rope, cache, mask)
        return x + self.mlp(for_products(self.post_attention_layernorm(x)))


class Body(nn.Module):
    """Embedding, layers and final norm: what Hugging Face calls `model`."""

    def __init__(self, c: Config):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.dim)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = Norm(c)


class LayerCache:
    """Keys and values of one layer, written in place by position."""

    def __init__(self, c: Config, batch: int, length: int, like: torch.Tensor):
        shape = (batch, c.kv_heads, length, c.head_dim)
        self.k, self.v, self.length = like.new_zeros(shape), like.new_zeros(shape), 0

    def part(self, rows: slice) -> "LayerCache":
        """The same storage for some sequences of the batch."""
        part = copy.copy(self)
        part.k, part.v = self.k[rows], self.v[rows]
        return part

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all sequences of the batch but `rows`."""
        self.k, self.v = self.k[rows], self.v[rows]

    def append(self, k, v):
        end = self.length + k.shape[2]
        self.k[:, :, self.length:end], self.v[:, :, self.length:end] = k, v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


class Llama(nn.Module):
    """The model in three parts, as a decoder with early exits needs them: `embed`, `run` over a range, `head`."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.model = Body(c)
        if not c.tied:
            self.lm_head = nn.Linear(c.dim, c.vocab, bias=False)

    @property
    def head_weight(self) -> torch.Tensor:
        """The output matrix [vocab, dim]."""
        return self.model.embed_tokens.weight if self.c.tied else self.lm_head.weight

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model.embed_tokens(ids)

    def rope(self, positions: torch.Tensor, dtype: torch.dtype):
        """Cosines and sines [..., head_dim] of absolute positions."""
        half = torch.arange(0, self.c.head_dim, 2, device=positions.device).float()
        angle = positions.float()[..., None] / self.c.rope_base ** (half / self.c.head_dim)
        angle = torch.cat((angle, angle), -1)
        return angle.cos().to(dtype), angle.sin().to(dtype)

    def run(self, x, rope, start: int, end: int, drop=None):
        """Layers `start..end` over whole sequences, causal. `drop[l]` [batch] bool, or None, skips layer l for those rows."""
        for index in range(start, end):
            y = self.model.layers[index](x, rope)
            x = y if drop is None or drop[index] is None else torch.where(drop[index][:, None, None], x, y)
        return x

    def hiddens(self, ids, want):
        """{layer count: hidden state [batch, seq, dim] after that many layers}, before the final norm."""
        x, out, at = self.embed(ids), {}, 0
        rope = self.rope(torch.arange(ids.shape[1], device=ids.device), x.dtype)
        for end in sorted(want):
            x, at = self.run(x, rope, at, end), end
            out[end] = x
        return out

    def normed(self, x: torch.Tensor) -> torch.Tensor:
        """The final norm: what the head reads."""
        return self.model.norm(x)

    def head(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [..., vocab] of hidden states."""
        return F.linear(self.normed(x), self.head_weight.to(x.dtype))


def rotate(x, rope):
    cos, sin = rope
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin
