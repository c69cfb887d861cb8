"""A tiny random Llama with a byte-level tokenizer, as a GGUF file."""
import sys
from pathlib import Path

import gguf
import torch
from tokenizers.pre_tokenizers import ByteLevel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from layerskip import distil, gguf_io  # noqa: E402
from layerskip.model import Config, Llama  # noqa: E402

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CONFIG = Config(vocab=260, layers=4, dim=64, ffn=96, heads=4, kv_heads=2, head_dim=16, rope_base=10000.0, norm_eps=1e-5)


def make_model(seed: int = 0) -> Llama:
    torch.manual_seed(seed)
    model = Llama(CONFIG)
    for name, p in model.named_parameters():
        if p.ndim == 2:
            torch.nn.init.normal_(p, std=1.0 if "embed" in name else 0.1)
    return model.requires_grad_(True)


def write_meta(writer: gguf.GGUFWriter) -> None:
    c = CONFIG
    writer.add_name("tiny")
    writer.add_block_count(c.layers)
    writer.add_context_length(128)
    writer.add_embedding_length(c.dim)
    writer.add_feed_forward_length(c.ffn)
    writer.add_head_count(c.heads)
    writer.add_head_count_kv(c.kv_heads)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rope_base)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    tokens = SPECIAL + sorted(ByteLevel.alphabet()) + ["aa"]
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * 257)
    writer.add_token_merges(["a a"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)


def write_tiny(path: Path, model: Llama) -> None:
    """`model` in float32 with all metadata that a base file has."""
    writer = gguf.GGUFWriter(path, "llama")
    write_meta(writer)
    for name, data in gguf_io.gguf_tensors(model):
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_answers(model: Llama, count: int = 12) -> list[distil.Answer]:
    """Answers that the model itself gives to random prompts."""
    torch.manual_seed(1)
    prompts = [[1] + torch.randint(3, 259, (5 + i % 4,)).tolist() for i in range(count)]
    return distil.answer(model.eval(), prompts, [0.0] * count, 16, eos=2, top=8)
