"""Makes text_metrics.jsonl: texts, their references, and what torchmetrics gives for them.

    pip install torch torchmetrics nltk
    python text_metrics.py > text_metrics.jsonl

ROUGE lower-cases and splits at white space, as LayerSkip's benchmark sets it up; BLEU-4 and the edit distance are
torchmetrics' defaults. A case of several pairs is a corpus: only its BLEU is used.
"""

import json
import random

from torchmetrics.functional.text import bleu_score, edit_distance, rouge_score

random.seed(0)


def lower(text):
    return text.lower()


def noisy(words, rate):
    kept = [word for word in words if random.random() > rate]
    return " ".join(random.choice(words) if random.random() < rate else word for word in kept)


FOX = "The quick brown fox jumps over the lazy dog near the river bank today"
LONG = " ".join(random.choice("alpha beta gamma delta epsilon zeta eta theta iota kappa".split()) for _ in range(400))

SINGLES = [
    ("", ""),
    ("", "something"),
    ("something", ""),
    (" \n\t ", "something"),
    ("a", "a"),
    ("a", "b"),
    ("A b", "a B"),
    ("a b", "a b"),
    ("a b c", "a b c"),
    ("a b c d", "a b c d"),
    ("a b c d e", "a b c d"),
    ("a b c d", "a b c d e f g h"),
    ("d c b a", "a b c d"),
    ("a a a a a", "a a"),
    ("a a", "a a a a a"),
    ("the the the the the the the", "the cat is on the mat"),
    ("the cat the cat on the mat", "the cat sat on the mat"),
    (FOX, FOX),
    (FOX, FOX + "."),
    (FOX.upper(), FOX),
    (FOX, FOX.replace(" ", "  \n")),
    (FOX, " ".join(reversed(FOX.split()))),
    (" leading", "leading"),
    ("trailing \n", "trailing"),
    ("Straße ÄÖÜ é", "strasse äöü e\u0301"),
    ("ΟΔΟΣ ΣΟΦΟΣ", "οδος σοφος"),
    ("İstanbul I ı", "istanbul i ı"),
    ("日本語 の テスト です", "日本語 の テスト"),
    ("日本語のテスト", "日本のテスト"),
    ("👩‍👩‍👧 family 🇩🇪", "👩‍👩‍👧 familie 🇩🇪"),
    ("a\u00a0b\u2003c\u3000d", "a b c d"),
    ("a\x1cb\x1dc\x1ed\x1fe", "a b c d e"),
    ("a\u200bb", "a b"),
    ("a\x85b\x0bc\x0cd", "a b c d"),
    ("def f(x):\n    return x + 1\n", "def f(x):\n    return x + 2\n"),
    ("it's a well-known fact.", "It is a well known fact"),
    (LONG, LONG),
    (noisy(LONG.split(), 0.2), LONG),
    (noisy(LONG.split(), 0.6), LONG),
    (LONG, "alpha beta gamma delta"),
    ("alpha beta gamma delta", LONG),
] + [(noisy(FOX.split(), rate / 10), FOX) for rate in range(1, 10)]

CORPORA = [
    [(FOX, FOX), ("a b", "c d")],
    [("", "a b c d"), (FOX, FOX)],
    [("a b", "a b"), ("c d", "c d"), ("e f g", "e f g"), ("h i j k", "h i j k")],
    [(noisy(FOX.split(), 0.3), FOX) for _ in range(8)],
    [(noisy(LONG.split(), 0.4), LONG) for _ in range(3)],
]


def case(pairs):
    predictions, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    made = {"pairs": pairs, "bleu": bleu_score(predictions, [[text] for text in references]).item()}
    if len(pairs) == 1:
        keys = ("rouge1", "rouge2", "rouge3", "rougeL")
        scores = rouge_score(predictions[0], references[0], rouge_keys=keys, normalizer=lower)
        made["rouge"] = {name: value.item() for name, value in scores.items()}
        made["edit_distance"] = edit_distance(predictions, references).item()
    return made


for pairs in [[pair] for pair in SINGLES] + CORPORA:
    print(json.dumps(case(pairs)))
