"""A small byte-level tokenizer of the rows, in a folder: AIPerf wants one, and those of the hub need a network."""

import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

folder, *files = map(pathlib.Path, sys.argv[1:])
lines = [line for file in files for line in file.read_text().splitlines()]
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
end = "<|endoftext|>"
alphabet = pre_tokenizers.ByteLevel.alphabet()
trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=[end], initial_alphabet=alphabet)
tokenizer.train_from_iterator(lines, trainer)
folder.mkdir()
tokenizer.save(str(folder / "tokenizer.json"))
config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": end, "eos_token": end}
(folder / "tokenizer_config.json").write_text(json.dumps(config))
