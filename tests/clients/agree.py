"""Fails unless lm_eval's results are those of `skiplens eval` to the last digit: agree.py FOLDER KIND=FILE…

FOLDER holds lm_eval's results; each FILE is what `skiplens eval --json` printed for the rows of one kind."""

import json
import sys
from pathlib import Path

newest = max(Path(sys.argv[1]).rglob("results_*.json"), key=lambda path: path.stat().st_mtime)
harness = json.loads(newest.read_text())["results"]
figures = 0
for kind, file in (word.split("=", 1) for word in sys.argv[2:]):
    theirs = harness[f"skiplens_{kind}"]
    for task in json.loads(Path(file).read_text())["tasks"]:
        for metric in task["metrics"]:
            name = metric["name"] if "," in metric["name"] else metric["name"] + ",none"
            value, error = theirs[name], theirs[name.replace(",", "_stderr,")]
            assert value == metric["value"], (kind, name, value, metric["value"])
            if metric["stderr"] is not None:
                assert abs(error - metric["stderr"]) < 1e-12, (kind, name, error, metric["stderr"])
            figures += 1
print(f"lm_eval and skiplens eval agree in {figures} figures")
assert figures >= 2
