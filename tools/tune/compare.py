"""Measure packed GGUF files against the published one: acceptance by exit, drift of the last layer, perplexity."""
import argparse
import json
from pathlib import Path

import torch

from layerskip import gguf_io, measure
from layerskip.text import Chat, read_prompts
from tune import encode, get_device, numbers
from layerskip.base import Base


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = p.add_argument
    add("files", type=Path, nargs="+", help="GGUF files")
    add("--base", type=Path, required=True, help="the published GGUF")
    add("--prompts", type=Path, required=True, help="JSON lines whose first rows tuning held out")
    add("--hold-out", type=int, default=192)
    add("--max-prompt", type=int, default=320)
    add("--measure-new", type=int, default=160)
    add("--measure-exits", type=numbers, default=[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 22, 26])
    add("--measure-length", type=int, default=4)
    add("--own", action=argparse.BooleanOptionalAction, default=True,
        help="acceptance over each file's own answers, not the published model's")
    add("--texts", type=Path, help="where the published model's greedy answers are kept between runs")
    add("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    return p.parse_args(argv)


def published_texts(published, held, a, eos):
    """The published model's greedy answers, from `--texts` if they are there."""
    if a.texts and a.texts.exists():
        return torch.load(a.texts)
    texts = measure.greedy_answers(published, held, a.measure_new, eos, 64)
    if a.texts:
        torch.save(texts, a.texts)
    return texts


def compare(path: Path, published, texts, states, held, a, eos, device) -> dict:
    """One file's report."""
    model = gguf_io.load_gguf(path)[0].to(device, published.head_weight.dtype).eval()
    own = a.own and not path.samefile(a.base)
    answers = measure.greedy_answers(model, held, a.measure_new, eos, 64) if own else texts
    exits = [e for e in a.measure_exits if e < model.c.layers]
    return {"file": path.name, "bytes": path.stat().st_size,
            "last_layer": measure.drift_report(model, published, texts, states),
            "exits": measure.exits_report(model, answers, exits, a.measure_length)}


def main(argv=None) -> None:
    a = arguments(argv)
    device = get_device()
    model, meta = gguf_io.load_gguf(a.base)
    chat = Chat.from_meta(meta)
    published = model.to(device, getattr(torch, a.dtype)).eval()
    held = encode(Base(model, chat), read_prompts(a.prompts)[:a.hold_out], a.max_prompt)
    texts = published_texts(published, held, a, chat.eos_id)
    states = measure.last_states(published, texts)
    for path in a.files:
        print(json.dumps(compare(path, published, texts, states, held, a, chat.eos_id, device)), flush=True)


if __name__ == "__main__":
    main()
