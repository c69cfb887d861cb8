"""Writes tasks for lm_eval over JSONL files: tasks.py FOLDER choice.jsonl text.jsonl question.jsonl"""

import json
import sys
from pathlib import Path

COMMON = {"test_split": "test", "num_fewshot": 0, "dataset_path": "json"}
TASKS = {
    "choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{query}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{gold}}",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    },
    "text": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")],
    },
    "question": {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "temperature": 0.0},
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "regexes_to_ignore": [",", "\\$", "(?s).*#### ", "\\.$"],
            }
        ],
        "filter_list": [
            {
                "name": "strict-match",
                "filter": [
                    {"function": "regex", "regex_pattern": "#### (\\-?[0-9\\.\\,]+)"},
                    {"function": "take_first"},
                ],
            },
            {
                "name": "flexible-extract",
                "filter": [
                    {"function": "regex", "group_select": -1, "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                    {"function": "take_first"},
                ],
            },
        ],
    },
}

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for file in map(Path, sys.argv[2:]):
    kind = file.stem
    task = {"task": f"skiplens_{kind}", "dataset_kwargs": {"data_files": {"test": str(file.resolve())}}}
    # JSON is YAML.
    (folder / f"{kind}.yaml").write_text(json.dumps(COMMON | TASKS[kind] | task, indent=1))
