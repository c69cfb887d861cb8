"""Write smollm2_tokens.jsonl: texts and the ids that two other programs give them with SmolLM2's vocabulary.

usage: smollm2_tokens.py SmolLM2-135M-Instruct.gguf OUT.jsonl   (needs the PyPI packages gguf, tokenizers, llama-cpp-python)

llama.cpp reads the vocabulary out of the GGUF; Hugging Face's tokenizers is set up as SmolLM2's tokenizer.json says
(digits one by one, then byte-level words, no space added). Only texts on which both agree are written.
"""

import json
import random
import sys

import gguf
import llama_cpp
import tokenizers
from tokenizers import models, pre_tokenizers

HAND = [
    " ", "  ", "   ", "\n", "\n\n", "\t", "\t\n ", "a", " a", "a ", "Hello world", " Hello  world ", "Hello,world!",
    "I'm you're he'll they've it's we'd can't", "I'M YOU'RE", "don’t “quote” — dash…", "0", "12", "123", "1234567890",
    "3.14159", "1,000,000", "2024-02-29T12:34:56Z", "x1y2z3", "½ ¼ ² ³ ① Ⅳ ٣٤٥ १२३ 一二三", "\r\n", "a\r\nb", "tab\tseparated",
    "trailing   ", "   leading", "many     spaces     between", "\u00a0nbsp\u00a0", "\u3000ideographic\u3000space",
    "def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) { a[i] += 1; }\n", "fn main() {\n\tprintln!(\"{}\", 1);\n}",
    "SELECT * FROM t WHERE a >= 10 AND b <> 'x';", "<div class=\"a\">&nbsp;</div>", "{\"a\": [1, 2, null], \"b\": true}",
    "https://example.org/path?q=1&r=%20#frag", "user@example.com", "C:\\Users\\name", "/usr/local/bin", "$HOME ${x} $(y)",
    "Führer Größe naïve café Ångström", "e\u0301 combining", "Ελληνικά", "Русский текст", "нещо на Български", "中文字符测试",
    "日本語のテキスト、カタカナ", "한국어 텍스트", "العربية", "עברית", "हिन्दी", "ไทย", "ខ្មែរ", "🦙", "😀😃😄", "👨‍👩‍👧‍👦", "🇩🇪🇯🇵", "👍🏽 ok",
    "🚀 (normal) 😶‍🌫️ (multiple emojis concatenated) ✅", "\u200b zero \u200d width", "\ufeffbom", "a\u0000b", "\u0001\u001b[31m", "\u007f",
    "ﬁ ligature", "Ⓐ", "Ｆｕｌｌ", "!!!???...", "----====", "((([[[{{{", "\"\"\"''' ```", "# Title\n\n- item 1\n- item 2\n", "$x^2 + y_1$",
    "A", "AA", "AAA" * 20, "ab" * 50, "supercalifragilisticexpialidocious", "antidisestablishmentarianism", "   \n   \n   ",
    "\n    indented\n        more\n", "The quick brown fox jumps over the lazy dog.", "What is 17 * 23?", "user\nassistant",
]
WORDS = "the of and a in is it you that he was for on are with as I his they be at one have this from or had by hot".split()
ALPHABETS = [
    "abcdefghij ", "ABCdef123 .,!?", "0123456789", " \t\n\r", "äöüßéèñç ", "абвгдежз ", "一二三中文字的 ", "あいうえおカキク", "가나다라마",
    "😀🦙🚀👍🏽\u200d", "()[]{}<>=+-*/&|", "'\"`sdtmlrve ", "\u0301\u0300aeiou", "ابتثج ", "\u00a0\u2003\u3000 x", "½²٣१ 9",
]


def texts():
    rng = random.Random(1)
    yield from HAND
    for alphabet in ALPHABETS:
        for length in (3, 8, 20, 40):
            yield "".join(rng.choice(alphabet) for _ in range(length))
            yield "".join(rng.choice(alphabet + rng.choice(ALPHABETS)) for _ in range(length))
    for _ in range(60):
        words = [rng.choice(WORDS) for _ in range(rng.randint(2, 12))]
        yield rng.choice([" ", "  ", "\n", ", "]).join(words) + rng.choice([".", "", "\n", " 42", "!"])
    for _ in range(30):
        yield "".join(chr(rng.choice([rng.randint(1, 0x7F), rng.randint(0x80, 0x7FF), rng.randint(0x800, 0xD7FF)])) for _ in range(12))


def library(path):
    fields = gguf.GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    made = tokenizers.Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return made


def main(path, out):
    other = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    made = library(path)
    seen, differ = set(), 0
    with open(out, "w", encoding="utf-8") as file:
        for text in texts():
            if text in seen:
                continue
            seen.add(text)
            ids = made.encode(text).ids
            if ids != other.tokenize(text.encode(), add_bos=False, special=False):
                differ += 1
                print("they differ:", repr(text), file=sys.stderr)
                continue
            file.write(json.dumps({"text": text, "ids": ids}) + "\n")
    print(len(seen) - differ, "texts;", differ, "left out", file=sys.stderr)


main(*sys.argv[1:])
