"""Train exit adapters: small heads that let any Llama draft for itself from a shallow layer. See README.md."""
import argparse
import copy
import hashlib
import json
import random
from pathlib import Path

import torch

from layerskip import adapter_file, adapter_report, adapter_train, answers, prompts
from layerskip.adapter import Adapter
from layerskip.base import load_base
from layerskip.text import read_prompts

ROUNDS = 9000     # rounds through the kinds of built-in prompts; small kinds end before


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def arguments(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__)
    sub = p.add_subparsers(dest="command", required=True)
    parts = {}
    for name, what in (("answer", "the model answers prompts; continues where an earlier run ended"),
                       ("train", "train adapters on the answers; resumes by itself"),
                       ("report", "measure adapters on prompts that they never saw"),
                       ("write", "write NAME.exits.gguf")):
        parts[name] = sub.add_parser(name, help=what, description=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        add = parts[name].add_argument
        add("--base", type=Path, required=True, help="GGUF file, or Hugging Face folder")
        add("--tokenizer", type=Path, help="tokenizer.json, where the GGUF's tokenizer is of a kind not read here")
        add("--run", type=Path, required=True, help="folder for answers and checkpoints")
        add("--threads", type=int, default=0, help="CPU threads (0: all)")
    add = parts["answer"].add_argument
    add("--prompts", type=Path, help="JSON lines, gzipped or not: {source, turns: [user, ...]}; built-in prompts unless given")
    add("--exits", type=numbers, default=[4, 6], help="exit layers that may have an adapter")
    add("--tokens", type=int, default=3_000_000, help="answer tokens to have in the end")
    add("--batch", type=int, default=256, help="prompts answered at once")
    add("--max-prompt", type=int, default=160)
    add("--max-new", type=int, default=160)
    add("--hold-out", type=int, default=192, help="the first prompts, kept for measuring")
    add("--measure", type=int, default=64, help="held-out prompts that are answered")
    add("--seed", type=int, default=1)
    add("--no-states", action="store_true", help="store tokens only; training computes the states again, which takes a GPU a moment")
    add = parts["train"].add_argument
    d = adapter_train.Settings()
    for name in ("epochs", "lr", "weight_decay", "hard", "acceptance", "save_seconds", "seconds"):
        add(f"--{name.replace('_', '-')}", type=float, default=getattr(d, name))
    for name in ("batch_tokens", "warmup", "frequent", "others", "depths", "exits_a_step", "log_every", "seed"):
        add(f"--{name.replace('_', '-')}", type=int, default=getattr(d, name))
    add("--prompt-tokens", action="store_true", help="draft the tokens of the prompts too")
    add("--exits", type=numbers, help="exits to train, of those of `answer`; all unless given")
    parts["write"].add_argument("--adapters", choices=("on", "off"), default="on", help="off: only the draft order, which needs no training")
    parts["write"].add_argument("--order", type=int, default=32768, help="tokens of the draft order (0: none)")
    parts["report"].add_argument("--depths", type=int, default=4, help="the longest chain")
    parts["report"].add_argument("--draft-vocab", type=numbers, default=[8192])
    parts["report"].add_argument("--verify", type=costs, default={1: 1.02, 2: 1.16, 4: 1.25},
                                 help="time of a verify by draft length, in plain steps, as LENGTH:TIME,...")
    for name, what in (("exit_layer", "exit layer"), ("num_speculations", "number of speculations"), ("draft_vocab", "draft vocabulary")):
        parts["write"].add_argument(f"--{name.replace('_', '-')}", type=int, help=f"recommended {what}")
    parts["write"].add_argument("--out", type=Path, required=True, help="NAME.exits.gguf beside NAME.gguf")
    return p.parse_args(argv)


def costs(text: str) -> dict[int, float]:
    pairs = (part.split(":") for part in text.split(","))
    return {int(length): float(time) for length, time in pairs}


def get_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run_answer(a, base) -> None:
    model = base.model.to(get_device()).bfloat16().eval().requires_grad_(False)
    bad = [e for e in a.exits if not 0 < e < model.c.layers]
    if bad:
        raise SystemExit(f"--exits: layer {bad[0]} is not between 1 and {model.c.layers - 1}")
    a.run.mkdir(parents=True, exist_ok=True)
    facts = a.run / "answers.json"
    rows = read_prompts(a.prompts) if a.prompts else [row["turns"] for row in prompts.prompts(ROUNDS, 1)]
    name = a.prompts.name if a.prompts else "built-in"
    wanted = {"prompts": [name, hashlib.sha256(json.dumps(rows).encode()).hexdigest()], "max_prompt": a.max_prompt, "max_new": a.max_new,
              "exits": a.exits, "hold_out": a.hold_out, "seed": a.seed, "batch": a.batch}
    if a.no_states:
        wanted["states"] = False
    if facts.exists() and json.loads(facts.read_text()) != wanted:
        raise SystemExit(f"{a.run} holds answers made with {facts.read_text()}: use the same settings or another folder")
    facts.write_text(json.dumps(wanted))
    encode = lambda rows: [ids for ids in map(base.chat.encode, rows) if len(ids) <= a.max_prompt]
    held = encode(rows[:a.hold_out])[:a.measure]
    if held and not answers.files(a.run / "held"):
        (a.run / "held").mkdir(exist_ok=True)
        texts = answers.answer(model, held, [0.0] * len(held), a.max_new, base.chat.eos_id, a.exits)
        answers.save(texts, a.run / "held" / "answers-00000.safetensors")
    rest = rows[a.hold_out:]
    random.Random(a.seed).shuffle(rest)
    answers.generate(model, encode(rest), a.run / "text", a.tokens, a.batch, a.max_new, base.chat.eos_id,
                     None if a.no_states else a.exits, a.seed)


def stored_exits(a) -> list[int]:
    """The exits whose states the answers have."""
    path = a.run / "answers.json"
    if not path.exists():
        raise SystemExit(f"{a.run} holds no answers: run `adapter.py answer` first")
    return json.loads(path.read_text())["exits"]


def load_adapter(a, model) -> tuple[Adapter, torch.Tensor]:
    """What `train` left, and how often each token occurs in the answers."""
    path = a.run / "state.pt"
    if not path.exists():
        raise SystemExit(f"{path} does not exist: run `adapter.py train` first")
    state = torch.load(path, map_location="cpu")
    adapter = Adapter(model, state["exits"]).eval()
    adapter.load_state_dict(state["adapter"])
    return adapter.to(get_device()), state["frequencies"].cpu()


def without_layers(model):
    """The model's norm and head on the device: all that training and measuring read."""
    model.model.layers = torch.nn.ModuleList()
    return model.to(get_device())


def run_train(a, base) -> None:
    torch.manual_seed(a.seed)
    stored, model = stored_exits(a), base.model.eval().requires_grad_(False)
    exits = a.exits or stored
    if missing := set(exits) - set(stored):
        raise SystemExit(f"--exits: the answers were made for the exits {stored}, without layer {min(missing)}")
    names = adapter_train.Settings.__dataclass_fields__
    settings = adapter_train.Settings(**{name: getattr(a, name) for name in names})
    adapter = Adapter(model, exits).to(get_device())
    texts = answers.load_all(a.run / "text")
    whole = copy.deepcopy(model).bfloat16().to(get_device()) if any(t.states is None for t in texts) else None
    model = without_layers(model)
    adapter_train.Trainer(model, texts, stored, adapter, settings, a.run, whole).run()


def run_report(a, base) -> None:
    model = base.model.eval().requires_grad_(False)
    layers = sum(p.numel() for p in model.model.layers.parameters())
    adapter, frequency = load_adapter(a, model)
    held = answers.load_all(a.run / "held")
    order = adapter_report.draft_order(frequency, a.draft_vocab[0])
    between = adapter_report.between(model.to(get_device()), adapter, held, order)
    for row in between:
        print(json.dumps(row))
    (a.run / "between.json").write_text(json.dumps(between, indent=1))
    model = without_layers(model)
    orders = {}
    for width in a.draft_vocab:
        orders[f"{width} by id"] = torch.arange(width)
        orders[f"{width} by frequency"] = adapter_report.draft_order(frequency, width)
    orders["whole"] = None
    rows = adapter_report.report(model, adapter, stored_exits(a), held, orders, a.depths, a.verify, layers)
    for row in rows:
        print(json.dumps(row))
    (a.run / "report.json").write_text(json.dumps(rows, indent=1))


def run_write(a, base) -> None:
    if a.adapters == "on":
        adapter, frequency = load_adapter(a, base.model)
    else:
        adapter, frequency = None, adapter_train.frequencies(answers.load_all(a.run / "text"), base.model.c.vocab)
    order = adapter_report.draft_order(frequency, min(a.order, len(frequency))) if a.order else None
    between = a.run / "between.json"
    rows = json.loads(between.read_text()) if between.exists() else []
    borrowed = {row["exit_layer"]: row["adapter_of"] for row in rows}
    if adapter and (set(borrowed) & set(adapter.exits) or set(borrowed.values()) - {0, *adapter.exits}):
        raise SystemExit(f"{between} was measured with other exits: run `adapter.py report` again")
    if not adapter and (a.exit_layer or a.num_speculations):
        raise SystemExit("--exit-layer and --num-speculations are recommendations for adapters, which --adapters off leaves out")
    if a.exit_layer is not None and not 0 < a.exit_layer < base.model.c.layers:
        raise SystemExit(f"--exit-layer: the model has exits 1 to {base.model.c.layers - 1}")
    names = ("exit_layer", "num_speculations", "draft_vocab")
    recommended = {name: getattr(a, name) for name in names if getattr(a, name) is not None}
    adapter_file.write(a.out, base.model, adapter, f"exits of {a.base.stem}", order, borrowed, recommended)
    print(f"{a.out}: {a.out.stat().st_size} bytes")


def main(argv=None) -> None:
    a = arguments(argv)
    torch.set_num_threads(a.threads or torch.get_num_threads())
    base = load_base(a.base, a.tokenizer)
    {"answer": run_answer, "train": run_train, "report": run_report, "write": run_write}[a.command](a, base)


if __name__ == "__main__":
    main()
