//! A benchmark writes one JSON file, which is complete at any time, and resumes where it was interrupted.

use super::{Tiny, fault, json, names, only, said};
use serde_json::Value;

const FEW: [&str; 6] = [
    "--max_steps",
    "8",
    "--num_samples",
    "3",
    "--output_dir",
    "logs",
];

#[test]
fn a_benchmark_is_one_file_with_everything() {
    let tiny = Tiny::new();
    tiny.prompts(5);
    let output = tiny.on_prompts(&["benchmark"], &FEW).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    for words in [
        "speed-up, mean of ratios",
        "same text in 3 of 3",
        "ROUGE-L",
        "mean accepted length",
        "written to logs",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let report = json(&only(&tiny.path("logs")));
    assert_eq!(report["complete"], true);
    assert_eq!(report["settings"]["sampling"]["seed"], 42);
    assert_eq!(report["settings"]["sampling"]["sample"], true);
    assert!(
        (report["settings"]["sampling"]["temperature"]
            .as_f64()
            .unwrap()
            - 0.6)
            .abs()
            < 1e-6
    );
    assert_eq!(report["dataset"]["shuffle"], true);
    for key in ["version", "prompts_hash"] {
        assert!(report[key].is_string(), "{key}");
    }
    assert!(
        report["model"]["fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("ends:")
    );
    assert!(report["machine"]["cpu"].is_string() && report["machine"]["device"] == "cpu×1");
    let samples = report["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 3);
    for sample in samples {
        assert_eq!(
            sample["autoregressive"]["text"],
            sample["speculative"]["text"]
        );
        assert!(sample["speculative"]["stats"]["drafted"].as_u64().unwrap() > 0);
        assert!(
            sample["autoregressive"]["time_to_first_token"]
                .as_f64()
                .unwrap()
                > 0.0
        );
        assert!(sample["autoregressive_scores"]["rouge_1"].is_number());
    }
    let comparison = &report["summary"]["comparison"];
    for speedup in ["speedup_mean_of_ratios", "speedup_ratio_of_speeds"] {
        let [low, value, high] =
            ["low", "value", "high"].map(|part| comparison[speedup][part].as_f64().unwrap());
        assert!(0.0 < low && low <= value && value <= high, "{speedup}");
    }
    let again = tiny
        .on_prompts(&["benchmark"], &[&FEW[..], &["--json"]].concat())
        .output()
        .unwrap();
    let printed: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        names(&tiny.path("logs")).len(),
        2,
        "what was finished is measured anew, beside it"
    );
    assert_eq!(printed["hash"], report["hash"]);
}

#[test]
fn only_the_requested_strategies_are_run() {
    let tiny = Tiny::new();
    tiny.prompts(2);
    let run = |more: &[&str]| {
        let output = tiny
            .on_prompts(
                &["benchmark", "--json", "-n", "4", "--output-dir", "logs"],
                more,
            )
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let plain = run(&["--generation_strategy", "autoregressive"]);
    assert!(
        plain["samples"][0]["speculative"].is_null() && plain["summary"]["comparison"].is_null()
    );
    let early = run(&[
        "--generation_strategy",
        "autoregressive",
        "--exit_layer",
        "1",
    ]);
    assert_eq!(early["settings"]["strategy"], "early-exit");
    assert!(early["summary"]["speculative"]["acceptance_rate"].is_null());
    let order = |report: &Value| {
        report["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["id"].clone())
            .collect::<Vec<_>>()
    };
    let fixed = run(&["--random_shuffle", "False"]);
    assert_eq!(order(&fixed), ["p0", "p1"]);
    assert_eq!(order(&run(&["--no_random_shuffle"])), ["p0", "p1"]);
}

/// Samples measured before an interruption are kept; a second run measures the rest.
#[test]
fn an_interrupted_benchmark_is_resumed() {
    let tiny = Tiny::new();
    tiny.prompts(5);
    let run = || tiny.on_prompts(&["benchmark"], &FEW).output().unwrap();
    assert!(run().status.success());
    let path = only(&tiny.path("logs"));
    let whole = json(&path);
    let mut half = whole.clone();
    half["complete"] = false.into();
    half["summary"] = Value::Null;
    half["samples"].as_array_mut().unwrap().truncate(1);
    std::fs::write(&path, half.to_string()).unwrap();
    let output = run();
    assert!(
        output.status.success() && said(&output).contains("resumed after 1 sample in"),
        "{}",
        said(&output)
    );
    assert_eq!(only(&tiny.path("logs")), path);
    let resumed = json(&path);
    assert_eq!(resumed["samples"][0], whole["samples"][0]);
    let texts = |report: &Value| {
        report["samples"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["autoregressive"]["text"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts(&resumed), texts(&whole));
    assert_eq!(resumed["complete"], true);
}

/// SIGTERM ends it with the status for "run again"; SIGKILL at any time leaves a complete file.
#[cfg(unix)]
#[test]
fn signals_leave_a_file_that_is_resumed() {
    let tiny = Tiny::new();
    tiny.prompts(12);
    let args = ["--max_steps", "200", "--output_dir", "logs"];
    let mut measured = 0;
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGUSR1] {
        let mut child = tiny
            .on_prompts(&["benchmark"], &args)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let logs = tiny.path("logs");
        let begun = std::time::Instant::now();
        let samples = || match logs.exists().then(|| {
            names(&logs)
                .into_iter()
                .find(|name| name.ends_with(".json"))
        }) {
            Some(Some(name)) => json(&logs.join(name))["samples"].as_array().unwrap().len(),
            _ => 0,
        };
        while samples() < measured + 2 {
            assert!(begun.elapsed().as_secs() < 120, "nothing is measured");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        // SAFETY: kill takes plain numbers; the child has not been waited for, so its id is still its own.
        unsafe { libc::kill(child.id() as i32, signal) };
        let status = child.wait().unwrap();
        if signal != libc::SIGKILL {
            assert!(matches!(status.code(), Some(75 | 0)), "{status:?}");
        }
        measured = samples();
        if measured == 12 {
            break;
        }
    }
    let output = tiny.on_prompts(&["benchmark"], &args).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let files: Vec<String> = names(&tiny.path("logs"))
        .into_iter()
        .filter(|name| name.ends_with(".json"))
        .collect();
    let report = json(&tiny.path("logs").join(&files[0]));
    assert_eq!(
        (
            report["complete"].as_bool(),
            report["samples"].as_array().unwrap().len()
        ),
        (Some(true), 12)
    );
}

#[test]
fn bad_input_is_named_and_nothing_is_written() {
    let tiny = Tiny::new();
    tiny.prompts(2);
    std::fs::write(tiny.path("other.jsonl"), "{\"text\": 1}\n").unwrap();
    for command in ["benchmark", "sweep", "correctness"] {
        for (line, words) in [
            (&["--dataset", "wikitext"][..], "there is no such data set"),
            (&["--dataset", "human_eval"], "--data-path FILE"),
            (&["--dataset", "spec_bench"], "give --data-path"),
            (
                &["--dataset", "builtin", "--num_samples", "0"],
                "--num-samples is 0",
            ),
            (&["--dataset", "builtin", "--n_shot", "2"], "no train split"),
            (&["--dataset", "builtin", "--template", "x"], "{message}"),
            (
                &["--dataset", "builtin", "--max_steps", "0"],
                "--max-steps is 0",
            ),
            (&["--dataset", "builtin", "--exit_layer", "7"], "1 to 1"),
            (
                &["--dataset", "custom_jsonl", "--data_path", "none.jsonl"],
                "none.jsonl",
            ),
            (
                &["--dataset", "custom_jsonl", "--data_path", "other.jsonl"],
                "needs the columns prompt",
            ),
            (
                &["--dataset", "builtin", "--model_args", "a=b"],
                "--model-args",
            ),
            (&["--data_path", "prompts.jsonl"], "--dataset"),
        ] {
            if command == "sweep" && line.contains(&"--exit_layer") {
                continue;
            }
            let args = [&[command, "--model", "tiny.gguf"], line].concat();
            let output = tiny
                .command(&args)
                .env("HF_HUB_OFFLINE", "1")
                .env("HF_HOME", tiny.path("hf"))
                .output()
                .unwrap();
            let told = fault(&output, &format!("{args:?}"));
            assert!(told.contains(words), "{args:?}: {told}");
        }
    }
    assert!(!tiny.path("logs").exists());
}

#[test]
fn a_file_of_another_run_is_left_alone() {
    let tiny = Tiny::new();
    tiny.prompts(3);
    let run = || tiny.on_prompts(&["benchmark"], &FEW).output().unwrap();
    assert!(run().status.success());
    let path = only(&tiny.path("logs"));
    let mut other = json(&path);
    other["hash"] = "0123456789abcdef".into();
    std::fs::write(&path, other.to_string()).unwrap();
    let told = fault(&run(), "a file of another run");
    assert!(told.contains("belongs to another run"), "{told}");
    assert_eq!(json(&path), other);
}

/// Without a data set, the same command measures the phases.
#[test]
fn without_a_data_set_the_phases_are_measured() {
    let tiny = Tiny::new();
    for command in ["bench", "benchmark"] {
        let output = tiny.run(&[
            command,
            "--model",
            "tiny.gguf",
            "--threads",
            "1",
            "--seconds",
            "0",
            "-n",
            "4",
            "--json",
        ]);
        assert!(output.status.success(), "{}", said(&output));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["phases"]["decode"]["seconds"].as_f64().unwrap() > 0.0);
    }
    let told = fault(
        &tiny.run(&["bench", "--dataset", "builtin", "--seconds", "1"]),
        "both",
    );
    assert!(told.contains("--seconds"), "{told}");
}
