"""Quantisation that looks at the activations: each rounding error is made up for by the weights still to be rounded.

GPTQ (arXiv 2210.17323) on GGUF's block formats, layer by layer, with the inputs that the already quantised layers below
give, so that the errors of a deep stack do not simply add up.
"""
import torch

from .distil import Answer
from .grids import BLOCK, Coded, Grid, round_matrix
from .model import Layer, Llama

INPUTS = {
    "self_attn.q_proj": "attn", "self_attn.k_proj": "attn", "self_attn.v_proj": "attn", "self_attn.o_proj": "mixed",
    "mlp.gate_proj": "ffn", "mlp.up_proj": "ffn", "mlp.down_proj": "gated",
}


def error_feed(moment: torch.Tensor, damp: float) -> torch.Tensor:
    """Upper Cholesky factor of the inverse second moment: how a rounding error is spread over later columns."""
    diagonal = moment.diagonal()
    h = moment + torch.diag(damp * diagonal.mean() + torch.zeros_like(diagonal))
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)


def gptq(w: torch.Tensor, moment: torch.Tensor, grid: Grid, damp: float = 0.02) -> Coded:
    """Quantise `w` [rows, cols] for inputs of second moment `moment` [cols, cols]."""
    w, (rows, cols) = w.detach().float().clone(), w.shape
    feed = error_feed(moment.double(), damp).float()
    importance = 1 / feed.diagonal().square()
    codes, scales, offsets = torch.empty(rows, cols, dtype=torch.int16), [], []
    for begin in range(0, cols, BLOCK):
        end = begin + BLOCK
        d, m = grid.fit(w[:, begin:end], importance[begin:end])
        errors = torch.empty(rows, BLOCK)
        for col in range(begin, end):
            code = grid.encode(w[:, col:col + 1], d, m)
            codes[:, col] = code[:, 0].to(torch.int16)
            error = (w[:, col:col + 1] - grid.decode(code, d, m)) / feed[col, col]
            errors[:, col - begin] = error[:, 0]
            w[:, col + 1:end] -= error * feed[col, col + 1:end]
        w[:, end:] -= errors @ feed[begin:end, end:]
        scales.append(d)
        offsets.append(m)
    return Coded(grid, codes, torch.cat(scales, 1), torch.cat(offsets, 1))


def tame_first(x: torch.Tensor, most: float = 10.0) -> torch.Tensor:
    """Inputs [seq, cols] with the first token's no more than `most` times longer than the others.

    The first token, the attention sink, is so large in some layers that it would outweigh all other tokens; but left
    out, its errors would be free, and a lost sink spoils all layers above.
    """
    length = x[1:].norm(dim=-1).mean()
    scale = (most * length / x[0].norm()).clamp(max=1.0)
    return torch.cat((x[:1] * scale, x[1:]))


def layer_inputs(layer: Layer, xs: list[torch.Tensor], ropes) -> dict[str, torch.Tensor]:
    """Second moments of the inputs of the matrices of `layer`, over sequences `xs` [1, seq, dim]."""
    modules, sums, hooks = dict(layer.named_modules()), {}, []
    first = {role: name for name, role in reversed(INPUTS.items())}
    for role, name in first.items():
        def note(module, args, role=role):
            x = tame_first(args[0][0].float())
            sums[role] = sums.get(role, 0.0) + x.T @ x
        hooks.append(modules[name].register_forward_pre_hook(note))
    for x, rope in zip(xs, ropes):
        layer(x, rope)
    for hook in hooks:
        hook.remove()
    count = sum(x.shape[1] for x in xs)
    return {role: total / count for role, total in sums.items()}


def quantise_layer(layer: Layer, prefix: str, grid: Grid, xs, ropes) -> dict[str, Coded]:
    """Quantise the matrices of `layer` for the inputs that the quantised layers below give."""
    moments, found = layer_inputs(layer, xs, ropes), {}
    for name, role in INPUTS.items():
        module = layer.get_submodule(name)
        coded = gptq(module.weight, moments[role], grid)
        module.weight.copy_(coded.weights())
        found[f"{prefix}.{name}.weight"] = coded
    return found


def quantise_head(w: torch.Tensor, grid: Grid, texts: list[Answer]) -> Coded:
    """The output matrix, for the normed final states of `texts`; more damped, for it is the embedding as well."""
    x = torch.cat([a.hidden for a in texts]).float()
    return gptq(w, x.T @ x / len(x), grid, damp=0.2)


@torch.inference_mode()
def quantise_layers(model: Llama, grids: list[Grid | None], texts: list[Answer], log=print) -> dict[str, Coded]:
    """{name: Coded} of the matrices of the layers that have a grid; `model` ends with the quantised weights."""
    last = max((i + 1 for i, grid in enumerate(grids) if grid), default=0)
    found, ids = {}, [torch.tensor([a.ids]) for a in texts]
    xs = [model.embed(i) for i in ids]
    ropes = [model.rope(torch.arange(i.shape[1]), torch.float32) for i in ids]
    for index, (layer, grid) in enumerate(zip(model.model.layers[:last], grids)):
        if grid:
            found |= quantise_layer(layer, f"model.layers.{index}", grid, xs, ropes)
        xs = [layer(x, rope) for x, rope in zip(xs, ropes)]
        log(f"layer {index} {grid.name if grid else 'kept'}", flush=True)
    return found


def round_layers(model: Llama, grids: list[Grid | None]) -> dict[str, Coded]:
    """The same without texts: nearest codes."""
    found = {}
    for index, (layer, grid) in enumerate(zip(model.model.layers, grids)):
        for name in INPUTS if grid else ():
            found[f"model.layers.{index}.{name}.weight"] = round_matrix(layer.get_submodule(name).weight.detach(), grid)
    return found
