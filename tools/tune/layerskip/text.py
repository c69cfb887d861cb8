"""Tokenizer and chat template of a base model, from GGUF metadata or from a Hugging Face folder."""
import gzip
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def pre_tokenizer(kind: str):
    """The splitting rule that GGUF names in `tokenizer.ggml.pre`."""
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_])
    if kind in ("llama-bpe", "llama3"):
        split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")
        return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if kind in ("gpt-2", "default"):
        return bytes_
    raise ValueError(f"pre-tokenizer {kind} is not known here: give the model's tokenizer.json with --tokenizer")


def tokenizer_from_meta(meta: dict) -> Tokenizer:
    """The byte-level BPE tokenizer that a GGUF file carries."""
    if meta.get("tokenizer.ggml.model") != "gpt2":
        raise ValueError("only byte-level BPE is read from GGUF: give the model's tokenizer.json with --tokenizer")
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(m.split(" ", 1)) for m in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizer(meta.get("tokenizer.ggml.pre", "default"))
    tokenizer.decoder = decoders.ByteLevel()
    special = [t for t, kind in zip(tokens, meta["tokenizer.ggml.token_type"]) if kind == 3]
    tokenizer.add_special_tokens(special)
    return tokenizer


class Chat:
    """Turns messages into token ids by the model's own template."""

    def __init__(self, tokenizer: Tokenizer, template: str | None, bos: str, eos: str, eos_id: int):
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        self.tokenizer, self.eos_id = tokenizer, eos_id
        self.special = {"bos_token": bos, "eos_token": eos}
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self.template = environment.from_string(template or CHATML)

    @classmethod
    def from_meta(cls, meta: dict, tokenizer: Tokenizer | None = None) -> "Chat":
        tokens, eos = meta["tokenizer.ggml.tokens"], meta["tokenizer.ggml.eos_token_id"]
        bos = meta.get("tokenizer.ggml.bos_token_id", eos)
        return cls(tokenizer or tokenizer_from_meta(meta), meta.get("tokenizer.chat_template"), tokens[bos],
                   tokens[eos], eos)

    def encode(self, turns: list[str]) -> list[int]:
        """Ids up to where the assistant begins to answer; turns alternate, the user first."""
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]
        text = self.template.render(messages=messages, add_generation_prompt=True, **self.special)
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def read_prompts(path: Path) -> list[list[str]]:
    """The `turns` of each row of a JSON-lines file, gzipped or not."""
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as rows:
        return [json.loads(row)["turns"] for row in rows if row.strip()]
