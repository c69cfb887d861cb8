//! Sweeps: in one run, in shards, killed and merged.

use super::{Tiny, fault, json, names, only, said};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;

const GRID: [&str; 10] = [
    "--max_steps",
    "8",
    "--num_samples",
    "2",
    "--num_speculations_last",
    "4",
    "--sample",
    "False",
    "--output_dir",
    "logs",
];

/// The measured columns of a table's rows, without times.
fn timeless(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let kept = [
        "exit_layer",
        "num_speculations",
        "acceptance_rate",
        "mean_accepted_length",
        "pooled_acceptance_rate",
        "predicted_acceptance_rate",
        "draft_vocab",
        "temperature",
        "controller",
        "samples",
        "same_text",
    ];
    let headers = reader.headers().unwrap().clone();
    let columns: Vec<usize> = kept
        .iter()
        .map(|name| headers.iter().position(|have| have == *name).unwrap())
        .collect();
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            columns
                .iter()
                .map(|&column| row[column].to_owned())
                .collect()
        })
        .collect()
}

fn csv(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("sweep.csv")).unwrap()
}

fn status(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", said(output));
    said(output)
}

#[test]
fn a_sweep_measures_its_grid() {
    let tiny = Tiny::new();
    tiny.prompts(2);
    let told = status(&tiny.on_prompts(&["sweep"], &GRID).output().unwrap(), 0);
    assert!(
        told.contains("4 cells and 1 baseline to measure, 2 prompts each"),
        "{told}"
    );
    let folder = only(&tiny.path("logs"));
    let table = csv(&folder);
    assert!(table.starts_with("exit_layer,num_speculations,acceptance_rate,total_time,time_per_token,tokens_per_second,speedup,"), "{table}");
    let rows = timeless(&table);
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter().all(|row| row[0] == "1" && row[10] == "true"),
        "{rows:?}"
    );
    // Each measured figure has its prediction next to it.
    assert!(
        rows.iter()
            .all(|row| !row[4].is_empty() && !row[5].is_empty()),
        "{rows:?}"
    );
    // Four tiles and the caption.
    let svg = std::fs::read_to_string(folder.join("sweep.svg")).unwrap();
    assert!(
        svg.contains("plain decoding") && svg.matches("×</text>").count() == 5,
        "{svg}"
    );
    let merged = json(&folder.join("sweep.json"));
    assert!(merged["rows"][0]["prediction"]["speedup"].as_f64().unwrap() > 0.0);
    assert!(merged["missing"].as_array().unwrap().is_empty());
    status(&tiny.on_prompts(&["sweep"], &GRID).output().unwrap(), 0);
    assert_eq!(
        names(&tiny.path("logs")).len(),
        2,
        "what was finished is measured anew, beside it"
    );
}

#[test]
fn further_axes_are_measured() {
    let tiny = Tiny::new();
    tiny.prompts(1);
    let axes = [
        "--max_steps",
        "6",
        "--num_speculations_first",
        "2",
        "--num_speculations_last",
        "2",
        "--temperatures",
        "0,0.8",
        "--draft_vocabs",
        "0,64",
        "--controllers",
        "fixed,adaptive-speculations,confidence:0.2",
        "--output_dir",
        "logs",
    ];
    status(&tiny.on_prompts(&["sweep"], &axes).output().unwrap(), 0);
    let folder = only(&tiny.path("logs"));
    assert_eq!(timeless(&csv(&folder)).len(), 12);
    assert_eq!(
        names(&folder.join("baselines")).len(),
        2,
        "one for each temperature"
    );
    assert!(folder.join("sweep-12.svg").exists() || folder.join("sweep-2.svg").exists());
}

/// Any number of shards in any order merge to the result of a single run.
#[test]
fn shards_merge_to_the_whole() {
    let tiny = Tiny::new();
    tiny.prompts(2);
    status(&tiny.on_prompts(&["sweep"], &GRID).output().unwrap(), 0);
    let whole = timeless(&csv(&only(&tiny.path("logs"))));
    let plan = [&GRID[..8], &["--output_dir", "parts"]].concat();
    let output = tiny.on_prompts(&["sweep", "plan"], &plan).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let folder = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    let folder = tiny.folder.path().join(folder);
    let at = folder.to_str().unwrap();
    let merge = || tiny.run(&["sweep", "merge", at]);
    let told = status(&merge(), 1);
    assert!(told.contains("4 of 4 cells are missing"), "{told}");
    let run = |shard: &[&str], variables: &[(&str, &str)]| {
        let mut command = tiny.command(
            &[
                &["sweep", "run", at, "--model", "tiny.gguf", "--threads", "1"],
                shard,
            ]
            .concat(),
        );
        variables.iter().for_each(|(name, value)| {
            command.env(name, value);
        });
        command.output().unwrap()
    };
    let told = status(&run(&["--shard", "1/3", "--list"], &[]), 0);
    assert_eq!(told.matches("missing").count(), 2, "{told}");
    let told = status(&run(&["--shard", "1/3", "--dry-run"], &[]), 0);
    assert!(told.contains("2 cells and 1 baseline to measure"), "{told}");
    assert!(names(&folder.join("cells")).is_empty());
    status(&run(&["--shard", "3/3"], &[]), 0);
    assert!(status(&merge(), 1).contains("3 of 4 cells are missing"));
    let slurm = |id: &'static str| {
        [
            ("SLURM_ARRAY_TASK_ID", id),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "0"),
            ("SLURM_ARRAY_TASK_MAX", "2"),
            ("SLURM_ARRAY_TASK_STEP", "1"),
        ]
    };
    status(&run(&["--shard", "auto"], &slurm("1")), 0);
    status(
        &run(&["--shard", "auto/3"], &[("JOB_COMPLETION_INDEX", "0")]),
        0,
    );
    let told = status(&run(&["--shard", "auto"], &slurm("1")), 0);
    assert!(
        told.contains("0 cells and 0 baselines"),
        "what is measured stays: {told}"
    );
    status(&merge(), 0);
    assert_eq!(timeless(&csv(&folder)), whole);
    let mut told = names(&folder.join("baselines"));
    told.dedup();
    assert_eq!(told.len(), 3, "one for each shard");
}

/// A killed shard leaves complete cells only; running it again measures the others.
#[cfg(unix)]
#[test]
fn a_killed_sweep_is_resumed() {
    let tiny = Tiny::new();
    tiny.prompts(4);
    let args = [
        "--max_steps",
        "150",
        "--num_speculations_last",
        "12",
        "--sample",
        "False",
        "--output_dir",
        "logs",
    ];
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        let mut child = tiny
            .on_prompts(&["sweep"], &args)
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = std::time::Instant::now();
        let cells = || {
            let logs = tiny.path("logs");
            let found = if logs.exists() {
                names(&logs)
            } else {
                Vec::new()
            };
            let folder = found.into_iter().next();
            folder
                .map(|name| logs.join(name).join("cells"))
                .filter(|cells| cells.exists())
                .map_or(0, |cells| {
                    names(&cells)
                        .iter()
                        .filter(|name| name.ends_with(".json"))
                        .count()
                })
        };
        let before = cells();
        while cells() < before + 2 && begun.elapsed().as_secs() < 120 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        // SAFETY: kill takes plain numbers; the child has not been waited for, so its id is still its own.
        unsafe { libc::kill(child.id() as i32, signal) };
        let status = child.wait().unwrap();
        if signal == libc::SIGTERM {
            assert!(matches!(status.code(), Some(75 | 0)), "{status:?}");
        }
        let folder = only(&tiny.path("logs"));
        for name in names(&folder.join("cells"))
            .iter()
            .filter(|name| name.ends_with(".json"))
        {
            assert_eq!(
                json(&folder.join("cells").join(name))["runs"]
                    .as_array()
                    .unwrap()
                    .len(),
                4
            );
        }
    }
    status(&tiny.on_prompts(&["sweep"], &args).output().unwrap(), 0);
    assert_eq!(timeless(&csv(&only(&tiny.path("logs")))).len(), 12);
}

#[test]
fn files_of_other_sweeps_are_refused() {
    let tiny = Tiny::new();
    tiny.prompts(1);
    let plan = || {
        let output = tiny.on_prompts(&["sweep", "plan"], &GRID).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        tiny.folder
            .path()
            .join(String::from_utf8(output.stdout).unwrap().trim())
    };
    let folder = plan();
    assert_eq!(plan(), folder, "an unfinished plan is the same plan");
    let at = folder.to_str().unwrap();
    let file = folder.join("manifest.json");
    let good = std::fs::read(&file).unwrap();
    let mut changed: Value = serde_json::from_slice(&good).unwrap();
    changed["axes"]["num_speculations"] = serde_json::json!([1]);
    std::fs::write(&file, changed.to_string()).unwrap();
    for command in ["run", "merge"] {
        let told = fault(&tiny.run(&["sweep", command, at]), command);
        assert!(told.contains("was changed since it was planned"), "{told}");
    }
    std::fs::write(&file, good).unwrap();
    let mut other = std::fs::read(tiny.path("tiny.gguf")).unwrap();
    *other.last_mut().unwrap() ^= 1;
    std::fs::write(tiny.path("other.gguf"), other).unwrap();
    let told = fault(
        &tiny.run(&["sweep", "run", at, "--model", "other.gguf"]),
        "another model",
    );
    assert!(told.contains("was planned for the model"), "{told}");
    assert!(names(&folder.join("cells")).is_empty());
}

#[test]
fn grids_outside_of_the_model_are_refused() {
    let tiny = Tiny::new();
    tiny.prompts(1);
    for (line, words) in [
        (
            &["--exit_layer_last", "2"][..],
            "exit layer 2; this model has 2 layers, so it may be 1 to 1",
        ),
        (&["--exit_layer_first", "0"], "exit layer 0"),
        (&["--num_speculations_first", "0"], "0 speculations"),
        (
            &["--num_speculations_step", "0"],
            "--num-speculations-step is 0",
        ),
        (&["--num_speculations_first", "9"], "is 9, which is behind"),
        (
            &["--temperatures", "0.5", "--sample", "False"],
            "contradict",
        ),
        (&["--temperatures", "0.5,0.5"], "twice"),
        (&["--controllers", "best"], "choose fixed"),
        (&["--shard", "3/2"], "1 ≤ I ≤ N"),
        (&["--shard", "auto"], "neither SLURM_ARRAY_TASK_ID nor"),
        (&["--strategy", "autoregressive"], "omit --strategy"),
    ] {
        let mut command = tiny.on_prompts(&["sweep"], line);
        command
            .env_remove("SLURM_ARRAY_TASK_ID")
            .env_remove("JOB_COMPLETION_INDEX");
        let told = fault(&command.output().unwrap(), &format!("{line:?}"));
        assert!(told.contains(words), "{line:?}: {told}");
    }
    assert!(!tiny.path("logs").exists());
}
