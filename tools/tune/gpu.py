"""Tune on one large GPU in a given time: measure for a minute, choose the batches, tune, and write small files.

See README.md. All other flags of tune.py may be given as well, and win.
"""
import argparse
import shlex
import sys
import time
from pathlib import Path

import compact
import tune
from layerskip import probe
from layerskip.base import load_base

SHARED = ("--text-tokens 2000000 --rotate 2 --deep-share 1 --other-tokens 0 --lr 5e-4 --upper-lr 1 --ema 0.998 --warmup 100 "
          "--save-seconds 150 --log-every 50")
RECIPES = {
    "all": "--exits 3,4,5,6,7,8,9,10,11,12 --deep-exits 14,16,18,20,22,24,26,28 --keep-from 0.9 --keep-goal 0.97",
    "boundary": "--exits 4,6,8,10,12 --deep-exits , --boundary 20 --keep-from 0.9 --keep-goal 0.985",
}
COMPACT_SECONDS = 40
GENERATE_SHARE = 0.16


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def arguments(argv=None):
    """(what is ours, what goes on to tune.py)."""
    p = argparse.ArgumentParser(description=__doc__, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("--base", type=Path, required=True)
    add("--out", type=Path, required=True)
    add("--minutes", type=float, default=25, help="for everything, from here to the last small file")
    add("--recipe", default="all", choices=RECIPES)
    add("--gen-batches", type=numbers, default=[256, 512, 1024, 2048])
    add("--train-batches", type=numbers, default=[8192, 16384, 32768, 65536])
    add("--probe-seconds", type=float, default=25, help="for each of the two stages, about")
    add("--room", type=float, default=0.8, help="share of the device's memory that a batch may take")
    add("--only-measure", action="store_true", help="print what would be run")
    return p.parse_known_args(argv)


def choose_batches(a, flags: list[str]) -> list[str]:
    """Flags for the smallest batches that are nearly as fast as any."""
    device, t = tune.get_device(), tune.arguments(flags)
    model = load_base(a.base, t.tokenizer).model.to(device)
    published = tune.published_copy(model)
    look = lambda name, sizes, work: probe.smallest_good(probe.sweep(name, sizes, work, device, a.room, a.probe_seconds))
    generate = look("generate", a.gen_batches, probe.generation(published, t.max_prompt, t.max_new, t.top))
    size = (t.max_prompt // 3, 2 * t.max_new // 3, t.top)
    train = look("train", a.train_batches, probe.training(model, published, tune.settings(t), *size))
    return ["--gen-batch", str(generate), "--batch-tokens", str(train)]


def main(argv=None) -> None:
    begin = time.monotonic()
    a, more = arguments(argv)
    flags = ["--base", str(a.base), "--out", str(a.out), *SHARED.split(), *RECIPES[a.recipe].split()]
    flags += choose_batches(a, flags + more)
    left = max(1.0, 60 * a.minutes - (time.monotonic() - begin) - COMPACT_SECONDS)
    flags += ["--gen-seconds", f"{GENERATE_SHARE * left:.0f}", "--train-seconds", f"{left:.0f}", "--total-seconds", f"{left:.0f}"]
    flags += more
    print("python tune.py", shlex.join(flags), flush=True)
    if a.only_measure:
        return
    tune.main(flags)
    for grid in ("q4_0", "q8_0"):
        compact.main(["write", "--base", str(a.base), "--weights", str(a.out / "model.safetensors"), "--grid", grid,
                      "--parts", str(a.out / f"parts-{grid}")])
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes", file=sys.stderr)


if __name__ == "__main__":
    main()
