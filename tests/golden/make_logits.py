"""Makes the expected logits that tests/it/golden_llama.rs compares with, by Hugging Face transformers.

usage: make_logits.py MODEL.gguf OUT.json      (needs the PyPI packages torch, transformers, accelerate, gguf)

transformers dequantises the file to f32 and computes in f32. Before each product the activations are rounded as ours
are, to bytes with a scale for each 32, so what differs is our arithmetic, not the rounding.
"""

import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM

PROMPTS = [
    [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 30],
    [504, 3575, 282, 4649, 314],
    [788, 275, 13895, 24, 94, 727, 198],
    [19556, 905, 28, 253, 4227, 13158, 338, 253, 2898, 282],
]
TOP = 16
BLOCK = 32


def rounded(x):
    """`x` as bytes with a scale for each 32 of the last dimension. Two neighbours have 127 steps at most, and the first
    two, or the last two, of each four columns of 16 have 251."""
    blocks = x.reshape(-1, BLOCK)
    pairs = blocks.abs().unflatten(-1, (-1, 2)).sum(-1)
    octets = pairs.unflatten(-1, (2, 4, 2)).sum(-2).flatten(-2)
    scale = torch.maximum(pairs.amax(-1, keepdim=True), octets.amax(-1, keepdim=True) * (127 / 251)) / 127
    steps = torch.where(scale > 0, (blocks / scale.clamp(min=1e-30)).round(), torch.zeros_like(blocks))
    return (steps * scale).reshape(x.shape)


def main(model_path: str, out_path: str) -> None:
    folder, file = os.path.split(os.path.abspath(model_path))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs: (rounded(inputs[0]),))
    cases = []
    for ids in PROMPTS:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        rows = []
        for row in logits:
            top = row.topk(TOP)
            rows.append(
                {
                    "ids": top.indices.tolist(),
                    "logits": [round(x, 4) for x in top.values.tolist()],
                    "logsumexp": round(row.logsumexp(-1).item(), 4),
                }
            )
        cases.append({"prompt": ids, "rows": rows})
    with open(out_path, "w") as out:
        json.dump({"model": file, "cases": cases}, out)
        out.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
