"""What moves the weights: AdamW, or Muon for the matrices of the layers and AdamW for the rest."""
import torch
import torch.nn as nn


def groups(named: dict[str, nn.Parameter], scales: dict[str, float], weight_decay: float) -> list[dict]:
    """Parameter groups of one rate and decay each; vectors do not decay."""
    found = {}
    for name, p in named.items():
        found.setdefault((scales[name], weight_decay if p.ndim > 1 else 0.0), []).append(p)
    return [{"params": ps, "weight_decay": decay, "scale": scale} for (scale, decay), ps in found.items()]


class Optimizers:
    """One optimizer or two over `named` parameters, whose rates are `scales` times that of each `step`.

    Muon (`muon`) makes the update of a matrix orthogonal, at the size AdamW's would have (arXiv 2502.16982), so the same
    rates serve for both. The embedding is no matrix in that sense.
    """

    def __init__(self, named: dict[str, nn.Parameter], scales: dict[str, float], lr: float, weight_decay: float, muon: bool):
        self.named = named
        matrices = {n: p for n, p in named.items() if muon and p.ndim == 2 and ".layers." in n}
        others = {n: p for n, p in named.items() if n not in matrices}
        self.parts = []
        if matrices:
            self.parts.append(torch.optim.Muon(groups(matrices, scales, weight_decay), lr=lr, adjust_lr_fn="match_rms_adamw"))
        if others:
            self.parts.append(torch.optim.AdamW(groups(others, scales, weight_decay), lr=lr, betas=(0.9, 0.97), fused=True))

    def zero_grad(self) -> None:
        for p in self.named.values():
            p.grad = None

    def step(self, lr: float) -> None:
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr * group["scale"]
            part.step()

    def moments(self) -> dict[str, dict]:
        """The memory of each parameter, by name."""
        state = {p: kept for part in self.parts for p, kept in part.state.items()}
        return {n: state[p] for n, p in self.named.items() if p in state}

    def restore(self, moments: dict[str, dict]) -> None:
        """The memory of an earlier run, which may have trained other layers, at other rates, or by another optimizer."""
        for part in self.parts:
            key = "momentum_buffer" if isinstance(part, torch.optim.Muon) else "exp_avg_sq"
            own = {p for group in part.param_groups for p in group["params"]}
            for name, kept in moments.items():
                p = self.named.get(name)
                if p in own and key in kept:
                    part.state[p] = {k: v.to(p.device, torch.float32, copy=True) for k, v in kept.items()}
