"""Tune the early exits of a small Llama: generate, train, measure, save. See README.md."""
import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch

from layerskip import distil, hf_io, measure
from layerskip.base import Base, load_base
from layerskip.text import read_prompts
from layerskip.train import Settings, Trainer


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add, d = p.add_argument, Settings(0, [], [])
    add("--base", type=Path, required=True, help="GGUF file, or Hugging Face folder (safetensors, tokenizer.json)")
    add("--tokenizer", type=Path, help="tokenizer.json, where the GGUF's tokenizer is of a kind not read here")
    add("--prompts", type=Path, required=True, help="JSON lines, gzipped or not: {source, turns: [user, ...]}")
    add("--out", type=Path, required=True, help="folder for texts, checkpoints, weights and metrics")
    add("--hold-out", type=int, default=192, help="the first prompts, kept for measuring")
    add("--seed", type=int, default=1)
    add("--threads", type=int, default=0, help="CPU threads (0: all)")
    add("--text", type=Path, nargs="+", help="text.pt of an earlier run: skips the generation")
    add("--gen-seconds", type=float, default=240)
    add("--gen-batch", type=int, default=768)
    add("--max-prompt", type=int, default=320)
    add("--max-new", type=int, default=320)
    add("--text-tokens", type=int, default=0, help="answer tokens kept in text.pt (0: all; 1.3 kB each)")
    add("--top", type=int, default=32, help="likely tokens kept of the teacher at each position")
    add("--resume", type=Path, help="state.pt of an earlier run: go on from its weights and optimizer")
    add("--first", type=float, help="where on the schedule to begin; unless given, where the resumed run was, or 0")
    add("--train-seconds", type=float, default=900)
    add("--total-seconds", type=float, default=0, help="training ends early enough for all to end by then (0: no limit)")
    add("--end-seconds", type=float, default=60, help="of --total-seconds, kept for saving and measuring after training")
    add("--exits", type=numbers, default=[4, 6, 8, 10, 12], help="exits trained on every sequence")
    add("--deep-exits", type=numbers, default=[15, 18, 22, 26], help="exits trained on the sequences run to the end")
    add("--optimizer", choices=["adamw", "muon"], default=d.optimizer, help="muon: for the matrices of the layers; PyTorch 2.9")
    for name in ("rotate", "boundary", "batch_tokens", "accumulate", "other_tokens", "warmup", "log_every", "max_steps"):
        add(f"--{name.replace('_', '-')}", type=int, default=getattr(d, name))
    for name in ("deep_share", "deep_weight", "lr", "upper_lr", "embedding_lr", "weight_decay", "temperature", "hard", "feature",
                 "keep_weight", "last_weight", "keep_from", "keep_goal", "p_max", "ema", "sink", "save_seconds"):
        add(f"--{name.replace('_', '-')}", type=float, default=getattr(d, name))
    add("--measure-exits", type=numbers, default=[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 22, 26])
    add("--measure-new", type=int, default=160, help="tokens an answer is measured over")
    add("--measure-length", type=int, default=4, help="speculations a round")
    add("--measure-before", action=argparse.BooleanOptionalAction, default=True)
    return p.parse_args(argv)


def settings(a: argparse.Namespace) -> Settings:
    names = {f for f in Settings.__dataclass_fields__ if f not in ("seconds", "seed")}
    return Settings(seconds=a.train_seconds, seed=a.seed, **{n: getattr(a, n) for n in names})


def save_answers(answers: list[distil.Answer], path: Path, tokens: int = 0) -> None:
    """All answers, or a sample of about `tokens` answer tokens."""
    step = -(-sum(a.rows for a in answers) // tokens) if tokens else 1
    torch.save([(a.ids, a.start, a.hidden, a.top) for a in answers[::max(1, step)]], path)


def get_answers(published, base: Base, prompts, a: argparse.Namespace) -> list[distil.Answer]:
    """The texts of an earlier run, or new ones that `published` gives to the turns in `prompts`."""
    if a.text:
        return [distil.Answer(*row) for path in a.text for row in torch.load(path)]
    path, slow = a.out / "text.pt", published.head_weight.device.type == "cpu"
    save = lambda found: save_answers(found, path, a.text_tokens)
    prompts = encode(base, prompts, a.max_prompt)
    answers = distil.generate(published, prompts, a.gen_seconds, a.gen_batch, a.max_new, base.chat.eos_id, a.top,
                              save=save if slow else None, seed=a.seed)
    save(answers)
    torch.cuda.empty_cache()    # of the keys and values, which training has no use for
    return answers


def measure_model(model, published, base: Base, held, a: argparse.Namespace) -> dict:
    """Acceptance over the model's own greedy answers, drift over the published model's; `model` becomes bfloat16."""
    model = model.bfloat16().eval()
    answers = lambda m: measure.greedy_answers(m, held, a.measure_new, base.chat.eos_id, 64)
    exits = [e for e in a.measure_exits if e < model.c.layers]
    return {"exits": measure.exits_report(model, answers(model), exits, a.measure_length),
            "last_layer": measure.drift_report(model, published, answers(published))}


def encode(base: Base, prompts, longest: int) -> list[list[int]]:
    encoded = (base.chat.encode(turns) for turns in prompts)
    return [ids for ids in encoded if len(ids) <= longest]


def time_left(a: argparse.Namespace, begin: float) -> float:
    """Seconds to train for."""
    if not a.total_seconds:
        return a.train_seconds
    return max(1.0, min(a.train_seconds, a.total_seconds - a.end_seconds - (time.monotonic() - begin)))


def where_to_begin(a: argparse.Namespace, state: dict | None) -> float:
    """Where on the schedule the run begins: as asked, or where the resumed run was cut."""
    if a.first is not None or not state:
        return a.first or 0.0
    if state["fraction"] >= 1:
        raise SystemExit(f"{a.resume} is of a run that ended: say with --first where on the schedule to go on")
    return state["fraction"]


def train(model, published, answers, a: argparse.Namespace, state: dict | None, begin: float) -> dict:
    """Tunes `model`; returns the trainer's report."""
    if state:
        model.load_state_dict(state["weights"], strict=False)
    s = settings(a)
    s.seconds = time_left(a, begin)
    return Trainer(model, answers, s, published, a.out, state, where_to_begin(a, state)).run()


def get_device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cuda.enable_cudnn_sdp(False)     # it plans anew for each shape, and here no two batches are alike
    return torch.device("cuda")


def published_copy(model):
    """The teacher: bfloat16, frozen, on the device of `model`."""
    return copy.deepcopy(model).bfloat16().eval().requires_grad_(False)


def main(argv=None) -> None:
    begin, a = time.monotonic(), arguments(argv)
    random.seed(a.seed)
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads or torch.get_num_threads())
    a.out.mkdir(parents=True, exist_ok=True)
    device, state = get_device(), torch.load(a.resume, map_location="cpu") if a.resume else None
    where_to_begin(a, state)    # refuses before the work, not after
    base, rows = load_base(a.base, a.tokenizer), read_prompts(a.prompts)
    model = base.model.to(device)
    published = published_copy(model)
    held, rest = encode(base, rows[:a.hold_out], a.max_prompt), rows[a.hold_out:]
    random.shuffle(rest)
    metrics = {"arguments": {k: str(v) for k, v in vars(a).items()}}
    if a.measure_before:
        metrics["before"] = measure_model(published, published, base, held, a)
        print("before", json.dumps(metrics["before"]), flush=True)
    answers = get_answers(published, base, rest, a)
    metrics["training"] = train(model, published, answers, a, state, begin)
    hf_io.save_safetensors(model, a.out / "model.safetensors")
    metrics["after"] = measure_model(model, published, base, held, a)
    print("after", json.dumps(metrics["after"]), flush=True)
    (a.out / "metrics.json").write_text(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
