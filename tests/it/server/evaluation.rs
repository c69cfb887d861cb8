//! Scores of `skiplens eval`, directly and through the server, as the harness does it.

use super::Served;
use crate::support::tiny;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const ROWS: &str = r#"{"query": "hello the", "choices": ["cat", "hello", "the old dog"], "gold": 1}
{"query": "the ", "choices": ["a", "bed"], "gold": "bed"}
{"question": "the hello", "choices": ["red", "cab", "hot"], "answer": 0}
{"text": "hello the old red cat, the  bed.\n"}
{"text": "the"}
{"question": "How many?", "answer": "1+1\n#### 2"}
{"prompt": "hello", "response": "hello"}
"#;

fn eval(folder: &Path, more: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_skiplens"))
        .args(["eval", "--model", "tiny.gguf", "--threads", "1"])
        .args(more)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    tiny::gguf().write(&folder.path().join("tiny.gguf"));
    std::fs::write(folder.path().join("rows.jsonl"), ROWS).unwrap();
    folder
}

fn report(folder: &Path, more: &[&str]) -> Value {
    let output = eval(
        folder,
        &[&["--data-path", "rows.jsonl", "--json"], more].concat(),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn figure(report: &Value, name: &str) -> f64 {
    let tasks = report["tasks"].as_array().unwrap();
    let mut metrics = tasks
        .iter()
        .flat_map(|task| task["metrics"].as_array().unwrap());
    let metric = metrics.find(|metric| metric["name"] == name).unwrap();
    metric["value"].as_f64().unwrap()
}

/// The sum that the harness computes for an echoed row.
fn loglikelihood(served: &Served, context: &[u32], continuation: &[u32], depth: &Value) -> f64 {
    let row = [context, continuation].concat();
    let mut body =
        json!({"prompt": [row], "temperature": 0, "max_tokens": 1, "logprobs": 1, "echo": true});
    body.as_object_mut()
        .unwrap()
        .extend(depth.as_object().unwrap().clone());
    let answer = served.complete(body);
    let values = answer["choices"][0]["logprobs"]["token_logprobs"]
        .as_array()
        .unwrap();
    let scored = &values[context.len()..values.len() - 1];
    scored.iter().map(|value| value.as_f64().unwrap()).sum()
}

fn tokens(served: &Served, text: &str, bos: bool) -> Vec<u32> {
    let body = json!({"prompt": text, "add_special_tokens": bos});
    serde_json::from_value(served.post("/tokenize", &body).good()["tokens"].clone()).unwrap()
}

#[test]
fn both_ways_agree_to_the_last_digit() {
    let (served, folder) = (Served::new(), folder());
    for (options, depth) in [
        (vec![], json!({})),
        (
            vec!["--strategy", "early-exit", "-E", "1"],
            json!({"strategy": "early-exit", "exit_layer": 1}),
        ),
    ] {
        let report = report(folder.path(), &options);
        let (mut total, mut words, mut bytes) = (0.0, 0, 0);
        let mut right = [0, 0];
        for row in ROWS
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
        {
            if let Some(text) = row["text"].as_str() {
                let row = tokens(&served, text, false);
                total += loglikelihood(&served, &[1], &row, &depth);
                words += text.split(char::is_whitespace).count() - usize::from(text.contains("  "));
                bytes += text.len();
            }
            let Some(choices) = row["choices"].as_array() else {
                continue;
            };
            let context = row["query"].as_str().or(row["question"].as_str()).unwrap();
            let before = tokens(&served, context.trim_end(), true);
            let choices: Vec<&str> = choices
                .iter()
                .map(|choice| choice.as_str().unwrap())
                .collect();
            let values: Vec<f64> = choices
                .iter()
                .map(|choice| {
                    let whole = tokens(&served, &format!("{context} {choice}"), true);
                    loglikelihood(&served, &before, &whole[before.len()..], &depth)
                })
                .collect();
            let by_length = values
                .iter()
                .zip(&choices)
                .map(|(v, c)| v / c.chars().count() as f64);
            let gold = match (&row["gold"], &row["answer"]) {
                (Value::String(text), _) => choices.iter().position(|c| c == text).unwrap(),
                (number, other) => number.as_u64().or(other.as_u64()).unwrap() as usize,
            };
            for (right, values) in right.iter_mut().zip([values.clone(), by_length.collect()]) {
                let best = (0..values.len())
                    .rev()
                    .max_by(|&a, &b| values[a].total_cmp(&values[b]));
                *right += u32::from(best == Some(gold));
            }
        }
        assert_eq!(figure(&report, "acc"), f64::from(right[0]) / 3.0);
        assert_eq!(figure(&report, "acc_norm"), f64::from(right[1]) / 3.0);
        assert_eq!(
            figure(&report, "word_perplexity"),
            (-(total / words as f64)).exp()
        );
        assert_eq!(
            figure(&report, "byte_perplexity"),
            (-(total / bytes as f64)).exp()
        );
        assert_eq!(
            figure(&report, "bits_per_byte"),
            -(total / bytes as f64) / std::f64::consts::LN_2
        );
        assert_eq!(figure(&report, "exact_match,strict-match"), 0.0);
    }
}

#[test]
fn scores_by_layer_are_written_as_table_csv_and_plot() {
    let folder = folder();
    let arguments = [
        "--data_path",
        "rows.jsonl",
        "--exit_layer_first",
        "1",
        "--exit_layer_last",
        "2",
        "--max_steps",
        "8",
        "--output_dir",
        "out",
    ];
    let output = eval(folder.path(), &arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert_eq!(table.lines().count(), 3, "{table}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let csv = read("by_layer.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * 8, "{csv}");
    assert!(read("by_layer.svg").ends_with("</svg>\n"));
    let kept: Value = serde_json::from_str(&read("skiplens.json")).unwrap();
    // The last row is the whole model; the first is early exit at the first layer.
    let whole = report(folder.path(), &["--max-steps", "8"]);
    assert_eq!(kept["layers"][1]["tasks"], whole["tasks"]);
    let first = report(
        folder.path(),
        &["--max-steps", "8", "--strategy", "early-exit", "-E", "1"],
    );
    assert_eq!(kept["layers"][0]["tasks"], first["tasks"]);
    assert_ne!(kept["layers"][0]["tasks"], kept["layers"][1]["tasks"]);
}

#[test]
fn faults_of_files_and_programs_are_reported() {
    let folder = folder();
    let fault = |more: &[&str]| {
        let output = eval(folder.path(), more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(
        folder.path().join("bad.jsonl"),
        "{\"text\": \"a\"}\n\n{\"foo\": 1}\n",
    )
    .unwrap();
    assert!(fault(&["--data-path", "bad.jsonl"]).contains("line 3: not a row; a row is"));
    assert!(fault(&["--data-path", "none.jsonl"]).contains("none.jsonl"));
    assert!(fault(&["--data-path", "rows.jsonl", "--exit-layer-first", "3"]).contains("2 layers"));
    let missing = fault(&[
        "--tasks",
        "gsm8k",
        "--limit",
        "10",
        "--exit_layer",
        "1",
        "--lm-eval",
        "./nowhere",
    ]);
    assert!(
        missing.contains("pip install \"lm_eval[api]\""),
        "{missing}"
    );
    // Options for one way are refused with the other.
    assert!(fault(&["--data-path", "rows.jsonl", "--write-out"]).contains("--write-out"));
    assert!(fault(&["--tasks", "piqa", "--json"]).contains("--json"));
    assert!(fault(&["--tasks", "piqa", "--exit-layer-first", "1"]).contains("--exit-layer-first"));
}

/// The harness gets the address of a running server, and the command ends with the harness's status.
#[cfg(unix)]
#[test]
fn the_harness_is_run_against_a_server() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let program = folder.path().join("harness");
    std::fs::write(
        &program,
        "#!/bin/sh\nfor word; do echo \"$word\"; done > words\nexit 7\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = [
        "--tasks",
        "gsm8k,piqa",
        "--lm_eval",
        "./harness",
        "--limit",
        "10",
        "--num_fewshot",
        "2",
        "--exit_layer",
        "1",
        "--log_samples",
        "--gen_kwargs",
        "temperature=0.5",
        "--random_seed",
        "3",
        "--output_dir",
        "out",
    ];
    let output = eval(folder.path(), &arguments);
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let words = std::fs::read_to_string(folder.path().join("words")).unwrap();
    for expected in [
        "--model\nlocal-completions\n",
        "base_url=http://127.0.0.1:",
        "max_length=128",
        "add_bos_token=True",
        "--tasks\ngsm8k,piqa\n",
        "--limit\n10\n",
        "--num_fewshot\n2\n",
        "--seed\n3,1234,1234,1234\n",
        "--log_samples\n",
        "--gen_kwargs\ntemperature=0.5\n",
        "--output_path\nout\n",
    ] {
        assert!(words.contains(expected), "{expected} in {words}");
    }
    let kept = std::fs::read_to_string(folder.path().join("out/skiplens.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&kept).unwrap()["settings"]["exit_layer"],
        1
    );
}
