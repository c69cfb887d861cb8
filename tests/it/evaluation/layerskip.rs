//! LayerSkip's own command lines, with fewer and shorter samples, on the bundled model and a local hub.

use super::{json, names, said};
use crate::support::hub::{FakeHub, Served};
use crate::support::smollm2;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A hub with a few rows of the data sets.
fn hub() -> FakeHub {
    let lines = |rows: &[serde_json::Value]| {
        rows.iter()
            .map(|row| format!("{row}\n"))
            .collect::<String>()
            .into_bytes()
    };
    let news: Vec<_> = (0..3)
        .map(|n| serde_json::json!({ "article": format!("The bridge number {n} was closed on Monday."), "highlights": "A bridge is closed.", "id": n.to_string() }))
        .collect();
    let code: Vec<_> = (0..3)
        .map(|n| serde_json::json!({ "task_id": format!("T/{n}"), "prompt": format!("def add_{n}(x):\n"), "canonical_solution": "    return x\n" }))
        .collect();
    let mut served = Served::default();
    let mut serve = |name: &str, files: &[(&str, Vec<u8>)]| {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(name, data)| ((*name).to_owned(), data.clone()))
            .collect();
        served.datasets.insert(name.to_owned(), files);
    };
    serve(
        "abisee/cnn_dailymail@main",
        &[
            ("3.0.0/test-00000-of-00001.jsonl", lines(&news)),
            ("1.0.0/test-00000-of-00001.jsonl", b"{}".to_vec()),
        ],
    );
    // A set that is a script on the hub: its rows are in the hub's Parquet conversion.
    serve(
        "openai/openai_humaneval@main",
        &[("openai_humaneval.py", b"script".to_vec())],
    );
    serve(
        "openai/openai_humaneval@refs/convert/parquet",
        &[("openai_humaneval/test/0000.jsonl", lines(&code))],
    );
    FakeHub::start(served)
}

fn run(hub: &FakeHub, folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skiplens"))
        .args(line.split_whitespace())
        // Other tests run at the same time, and threads that wait for each other would be slow.
        .args(["--threads", "1"])
        .current_dir(folder)
        .env("SKIPLENS_DATA_DIR", folder)
        .env("HF_HOME", folder.join("hf"))
        .env("HF_ENDPOINT", &hub.endpoint)
        .env_remove("HF_HUB_OFFLINE")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn layerskips_command_lines_run_unchanged() {
    let Some(model) = smollm2() else { return };
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    let model = model.display();
    let generate = run(
        &hub,
        folder.path(),
        &format!("generate --model {model} --sample True --max_steps 4 --prompt Once"),
    );
    assert!(generate.status.success(), "{}", said(&generate));
    let speculative = run(
        &hub,
        folder.path(),
        &format!(
            "generate --model {model} --sample True --max_steps 4 --generation_strategy self_speculative --exit_layer 8 --num_speculations 6 --prompt Once"
        ),
    );
    assert!(
        said(&speculative).contains("E 8 K 6"),
        "{}",
        said(&speculative)
    );
    assert_eq!(generate.stdout, speculative.stdout);
    let benchmark = run(
        &hub,
        folder.path(),
        &format!(
            "benchmark --model {model} --dataset cnn_dm_summarization --num_samples 2 --max_steps 6 --generation_strategy self_speculative --exit_layer 8 --num_speculations 6 --output_dir ./logs"
        ),
    );
    assert!(benchmark.status.success(), "{}", said(&benchmark));
    let correctness = run(
        &hub,
        folder.path(),
        &format!(
            "correctness --model {model} --dataset human_eval --generation_strategy self_speculative --num_speculations 6 --exit_layer 4 --num_samples 2 --max_steps 6 --sample False --output_dir ./logs"
        ),
    );
    assert!(correctness.status.success(), "{}", said(&correctness));
    assert!(
        said(&correctness).contains("errors 0 of 2"),
        "{}",
        said(&correctness)
    );
    // All 90 cells, with two tokens each.
    let sweep = run(
        &hub,
        folder.path(),
        &format!(
            "sweep --model {model} --dataset human_eval --generation_strategy self_speculative --num_samples 1 --max_steps 2 --output_dir ./logs/ --sample False"
        ),
    );
    assert!(sweep.status.success(), "{}", said(&sweep));
    assert!(
        said(&sweep).contains("90 cells and 1 baseline to measure"),
        "{}",
        said(&sweep)
    );
    let logs = folder.path().join("logs");
    let [bench, correct, swept] = names(&logs).try_into().unwrap();
    assert!(
        bench.starts_with("benchmark-")
            && correct.starts_with("correctness-")
            && swept.starts_with("sweep-")
    );
    let report = json(&logs.join(bench));
    assert_eq!(report["settings"]["exit_layer"], 8);
    let reference = report["samples"][0]["reference"].as_str().unwrap();
    assert_eq!(reference, " A bridge is closed.");
    let rows = std::fs::read_to_string(logs.join(swept).join("sweep.csv")).unwrap();
    assert_eq!(rows.lines().count(), 91);
    // A second run uses the downloaded files without the hub.
    let asked = hub.requests.lock().unwrap().len();
    let again = run(
        &hub,
        folder.path(),
        &format!(
            "correctness --model {model} --dataset human_eval --num_samples 1 --max_steps 2 --sample False --output_dir more"
        ),
    );
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(hub.requests.lock().unwrap().len(), asked);
}

#[test]
fn what_is_missing_on_the_hub_is_named() {
    let Some(model) = smollm2() else { return };
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    for (dataset, words) in [
        (
            "xsum_summarization",
            "there is no data set EdinburghNLP/xsum",
        ),
        ("gsm8k", "openai/gsm8k"),
    ] {
        let line = format!(
            "benchmark --model {} --dataset {dataset} --num_samples 1",
            model.display()
        );
        let told = super::fault(&run(&hub, folder.path(), &line), &line);
        assert!(
            told.contains(words) && told.contains("--data-path") && told.contains("builtin"),
            "{told}"
        );
    }
    let line = format!(
        "benchmark --model {} --dataset cnn_dm_summarization --n_shot 1 --num_samples 1",
        model.display()
    );
    let told = super::fault(&run(&hub, folder.path(), &line), &line);
    assert!(told.contains("no train split"), "{told}");
}
