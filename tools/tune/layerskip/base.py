"""A base model from a GGUF file or a Hugging Face folder."""
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from . import gguf_io, hf_io
from .model import Llama
from .text import Chat


@dataclass
class Base:
    """The published model in float32, and how to talk to it."""

    model: Llama
    chat: Chat


def load_base(path: Path, tokenizer: Path | None = None) -> Base:
    """Load `path`; raises `ValueError` or `OSError` where it is not a Llama that can be read."""
    if path.is_dir():
        return Base(*hf_io.load_folder(path))
    model, meta = gguf_io.load_gguf(path)
    return Base(model, Chat.from_meta(meta, Tokenizer.from_file(str(tokenizer)) if tokenizer else None))
