"""The 4-, 5- and 8-bit block formats of GGUF: fitting, coding and packing blocks of 32 weights.

A block holds integer codes and a float16 scale `d`; types ending in 1 also hold a float16 offset `m`. A weight is
`d * (code - zero)` or `d * code + m`.
"""
from dataclasses import dataclass

import numpy as np
import torch
from gguf import GGMLQuantizationType

BLOCK = 32
TRIES = torch.linspace(0.70, 1.10, 17).tolist()


@dataclass(frozen=True)
class Grid:
    """One block format: codes 0..levels-1; `zero` is the code of weight 0, None where the block has an offset."""

    name: str
    levels: int
    zero: int | None

    @property
    def kind(self) -> GGMLQuantizationType:
        return GGMLQuantizationType[self.name.upper()]

    def decode(self, codes, d, m):
        return d * codes + m if self.zero is None else d * (codes - self.zero)

    def encode(self, x, d, m):
        """Codes nearest to weights `x` [..., n], with `d` and `m` [..., 1]."""
        safe = torch.where(d == 0, 1, d)
        codes = (x - m) / safe if self.zero is None else x / safe + self.zero
        return codes.round().clamp(0, self.levels - 1)

    def fit(self, x, importance):
        """`d` and `m` [rows, 1] for blocks `x` [rows, 32], least squares by trial, errors weighted by column."""
        if self.zero is None:
            low, high = x.amin(1, keepdim=True).clamp(max=0), x.amax(1, keepdim=True)
            guesses = [(t * (high - low) / (self.levels - 1), t * low) for t in TRIES]
        else:
            extreme = x.gather(1, x.abs().argmax(1, keepdim=True))
            guesses = [(sign * t * extreme / self.zero, torch.zeros_like(extreme)) for t in TRIES for sign in (-1, 1)]
        best = None
        for d, m in guesses:
            d, m = d.half().float(), m.half().float()
            error = (self.decode(self.encode(x, d, m), d, m) - x).square().mul(importance).sum(1, keepdim=True)
            if best is None:
                best = [error, d, m]
                continue
            better = error < best[0]
            best = [torch.where(better, new, old) for new, old in zip((error, d, m), best)]
        return best[1], best[2]


GRIDS = {g.name: g for g in (Grid("q4_0", 16, 8), Grid("q4_1", 16, None), Grid("q5_0", 32, 16),
                             Grid("q5_1", 32, None), Grid("q8_0", 255, 127))}


@dataclass
class Coded:
    """A matrix on a grid: `codes` [rows, cols] as integers, `d` and `m` [rows, cols / 32]."""

    grid: Grid
    codes: torch.Tensor
    d: torch.Tensor
    m: torch.Tensor

    def weights(self) -> torch.Tensor:
        """The matrix as float32, exactly as a reader of the file sees it."""
        rows, cols = self.codes.shape
        blocks = self.codes.view(rows, -1, BLOCK).float()
        return self.grid.decode(blocks, self.d[..., None], self.m[..., None]).view(rows, cols)

    def reorder(self, change) -> "Coded":
        """The same with the rows reordered by `change`, which maps [rows, any] to [rows, any]."""
        return Coded(self.grid, change(self.codes), change(self.d), change(self.m))

    def pack(self) -> np.ndarray:
        """The bytes [rows, bytes] of the GGUF tensor."""
        rows = self.codes.shape[0]
        codes = self.codes.view(-1, BLOCK).cpu().numpy().astype(np.uint8)
        parts = [self.d.reshape(-1, 1).cpu().numpy().astype(np.float16).view(np.uint8)]
        if self.grid.zero is None:
            parts.append(self.m.reshape(-1, 1).cpu().numpy().astype(np.float16).view(np.uint8))
        if self.grid.levels == 255:
            parts.append((codes.astype(np.int16) - 127).astype(np.int8).view(np.uint8))
        else:
            if self.grid.levels == 32:
                parts.append(np.packbits(codes >> 4, axis=1, bitorder="little"))
            low = codes & 15
            parts.append(low[:, :16] | low[:, 16:] << 4)
        return np.concatenate(parts, 1).reshape(rows, -1)


def round_matrix(w: torch.Tensor, grid: Grid, importance: torch.Tensor | None = None) -> Coded:
    """Each weight to its nearest code, scales fitted by block; `importance` [cols] weights the errors."""
    rows, cols = w.shape
    importance = torch.ones(cols, device=w.device) if importance is None else importance
    blocks = w.float().reshape(rows, cols // BLOCK, BLOCK)
    fitted = [grid.fit(blocks[:, b], importance[b * BLOCK:(b + 1) * BLOCK]) for b in range(cols // BLOCK)]
    d, m = (torch.cat([f[i] for f in fitted], 1) for i in (0, 1))
    codes = grid.encode(blocks, d[..., None], m[..., None]).view(rows, cols)
    return Coded(grid, codes.to(torch.int16), d, m)
