"""Write the folder tiny_llama: a small random Llama as transformers saves it, and the logits that transformers computes.

usage: tiny_llama.py OUT_FOLDER      (needs the PyPI packages torch and transformers)

The weights are BF16 in two files, the heads share their keys, RoPE is scaled as in Llama 3.1 and the positions go well
beyond the original context, so that names, shards, row order and scaling all show in the logits.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def tokenizer():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: i for i, letter in enumerate(letters)}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("Ġ", "a")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    made = Tokenizer(models.BPE(vocab, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True) for name in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")])
    made.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", made.token_to_id("<|begin_of_text|>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")


def main(out):
    torch.manual_seed(0)
    words = tokenizer()
    words.chat_template = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}<|eot_id|>{% endfor %}"
    rope = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32,
                rope_theta=1000.0)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, rope_parameters=rope, rms_norm_eps=1e-5, initializer_range=0.3,
        bos_token_id=words.bos_token_id, eos_token_id=[words.eos_token_id, words.convert_tokens_to_ids("<|eot_id|>")],
    )
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(out, max_shard_size="40KB")
    words.save_pretrained(out)
    model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    text = "the cat and the hat: 'a thé' " * 5
    ids = words(text)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    rows = {str(i): [round(x, 5) for x in logits[i].tolist()] for i in (0, 1, 31, 70, len(ids) - 1)}
    Path(out, "expected.json").write_text(json.dumps(dict(text=text, ids=ids, argmax=logits.argmax(-1).tolist(), logits=rows)))


main(sys.argv[1])
