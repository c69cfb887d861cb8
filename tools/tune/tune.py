"""Tune the early exits of a small Llama: generate, train, measure, save. See README.md."""
import argparse
import json
import random
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
    add("--top", type=int, default=32, help="likely tokens kept of the teacher at each position")
    add("--resume", type=Path, help="state.pt of an earlier run: go on from its weights and optimizer")
    add("--first", type=float, default=0.0, help="where on the schedule to begin: above 0 after --resume")
    add("--train-seconds", type=float, default=900)
    add("--exits", type=numbers, default=[4, 6, 8, 10, 12], help="exits trained on every sequence")
    add("--deep-exits", type=numbers, default=[15, 18, 22, 26], help="exits trained on the sequences run to the end")
    for name in ("rotate", "boundary", "batch_tokens", "other_tokens", "warmup", "log_every", "max_steps"):
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


def save_answers(answers: list[distil.Answer], path: Path) -> None:
    torch.save([(a.ids, a.start, a.hidden, a.top) for a in answers], path)


def get_answers(base: Base, prompts: list[list[int]], a: argparse.Namespace, device) -> list[distil.Answer]:
    """The texts of an earlier run, or new ones."""
    if a.text:
        return [distil.Answer(*row) for path in a.text for row in torch.load(path)]
    teacher = base.model.to(device, torch.bfloat16).eval()
    path = a.out / "text.pt"
    answers = distil.generate(teacher, prompts, a.gen_seconds, a.gen_batch, a.max_new, base.chat.eos_id, a.top,
                              save=None if device.type == "cuda" else lambda found: save_answers(found, path),
                              seed=a.seed)
    save_answers(answers, path)
    return answers


def measure_model(model, published, base: Base, held, a: argparse.Namespace, device) -> dict:
    """Acceptance over the model's own greedy answers, drift over the published model's."""
    model, published = (m.to(device, torch.bfloat16).eval() for m in (model, published))
    answers = lambda m: measure.greedy_answers(m, held, a.measure_new, base.chat.eos_id, 64)
    exits = [e for e in a.measure_exits if e < model.c.layers]
    return {"exits": measure.exits_report(model, answers(model), exits, a.measure_length),
            "last_layer": measure.drift_report(model, published, answers(published))}


def encode(base: Base, prompts, longest: int) -> list[list[int]]:
    encoded = (base.chat.encode(turns) for turns in prompts)
    return [ids for ids in encoded if len(ids) <= longest]


def train(base: Base, answers, a: argparse.Namespace, device):
    """The tuned model in float32, and the trainer's report."""
    model = load_base(a.base, a.tokenizer).model.to(device)
    state = torch.load(a.resume, map_location=device) if a.resume else None
    if state:
        model.load_state_dict(state["weights"], strict=False)
    trainer = Trainer(model, answers, settings(a), base.model, a.out, state, a.first)
    report = trainer.run()
    trainer.save()
    return model, report


def main(argv=None) -> None:
    a = arguments(argv)
    random.seed(a.seed)
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads or torch.get_num_threads())
    torch.set_float32_matmul_precision("high")
    a.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base, rows = load_base(a.base, a.tokenizer), read_prompts(a.prompts)
    held, rest = encode(base, rows[:a.hold_out], a.max_prompt), rows[a.hold_out:]
    random.shuffle(rest)
    metrics = {"arguments": {k: str(v) for k, v in vars(a).items()}}
    if a.measure_before:
        metrics["before"] = measure_model(base.model, base.model, base, held, a, device)
        print("before", json.dumps(metrics["before"]), flush=True)
    answers = get_answers(base, encode(base, rest, a.max_prompt) if not a.text else [], a, device)
    model, metrics["training"] = train(base, answers, a, device)
    hf_io.save_safetensors(model, a.out / "model.safetensors")
    metrics["after"] = measure_model(model, base.model, base, held, a, device)
    print("after", json.dumps(metrics["after"]), flush=True)
    (a.out / "metrics.json").write_text(json.dumps(metrics, indent=1))


if __name__ == "__main__":
    main()
