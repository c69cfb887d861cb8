"""Carry tuned weights over a slow line: what changed, in few bits and in small files, and back again. See README.md."""
import argparse
import json
from pathlib import Path

import gguf
import torch
from safetensors.torch import load, save

from layerskip import hf_io
from layerskip.base import load_base
from layerskip.grids import BLOCK, GRIDS, round_matrix
from layerskip.model import Llama


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("direction", choices=("write", "read"))
    add("--base", type=Path, required=True, help="the same GGUF file or folder on both sides")
    add("--weights", type=Path, required=True, help="model.safetensors (or, to write, state.pt)")
    add("--parts", type=Path, required=True, help="folder of the small files")
    add("--grid", default="q8_0", choices=GRIDS, help="block format of the changes")
    add("--part-mb", type=float, default=15)
    return p.parse_args(argv)


def changes(model: Llama, before: dict, grid: str) -> bytes:
    """Everything of `model` that is not as in `before`: vectors as they are, of matrices the difference on a grid.

    The difference is smaller than the weight, so its rounding errors are, too: eight bits of it are better than eight
    bits of the weight, and four bits a makeshift.
    """
    found, kinds = {}, {}
    for name, w in model.state_dict().items():
        if torch.equal(w, before[name]):
            continue
        if w.ndim == 2 and w.shape[1] % BLOCK == 0:
            coded = round_matrix(w - before[name], GRIDS[grid])
            found[name], kinds[name] = torch.from_numpy(coded.pack()), grid
        else:
            found[name] = w.cpu().contiguous()
    return save(found, metadata={"grids": json.dumps(kinds)})


def apply_changes(model: Llama, data: bytes) -> None:
    header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
    kinds = json.loads(header["__metadata__"]["grids"])
    with torch.no_grad():
        for name, stored in load(data).items():
            w = model.get_parameter(name)
            if name in kinds:
                w += torch.from_numpy(gguf.dequantize(stored.numpy(), GRIDS[kinds[name]].kind))
            else:
                w.copy_(stored)


def write_parts(data: bytes, folder: Path, size: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part-*"):
        old.unlink()
    count = max(1, -(-len(data) // size))
    paths = [folder / f"part-{i:03}-of-{count:03}" for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes(data[i * size:(i + 1) * size])
    return paths


def read_parts(folder: Path) -> bytes:
    paths = sorted(folder.glob("part-*"))
    wanted = int(paths[0].name.split("-")[-1]) if paths else 1
    if len(paths) != wanted:
        raise SystemExit(f"{folder}: {len(paths)} parts of {wanted}")
    return b"".join(path.read_bytes() for path in paths)


def main(argv=None) -> None:
    a = arguments(argv)
    model = load_base(a.base).model
    if a.direction == "read":
        apply_changes(model, read_parts(a.parts))
        return hf_io.save_safetensors(model, a.weights)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    before = {name: w.clone() for name, w in model.state_dict().items()}
    hf_io.load_weights(model, a.weights)
    data = changes(model, before, a.grid)
    paths = write_parts(data, a.parts, int(a.part_mb * 1e6))
    print(f"{len(paths)} parts in {a.parts}, {len(data) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
