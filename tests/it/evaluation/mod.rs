//! `benchmark`, `sweep` and `correctness` as people and schedulers run them.

mod benchmark;
mod correctness;
mod layerskip;
mod sweep;

use crate::command_line::{Tiny, fault};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;

impl Tiny {
    /// A file with `count` prompts.
    fn prompts(&self, count: usize) -> PathBuf {
        let path = self.path("prompts.jsonl");
        let lines: String = (0..count)
            .map(|n| {
                format!(
                    "{{\"prompt\": \"hello {n}\", \"response\": \"the door\", \"id\": \"p{n}\"}}\n"
                )
            })
            .collect();
        std::fs::write(&path, lines).unwrap();
        path
    }

    /// A command on the tiny model and these prompts.
    fn on_prompts(&self, command: &[&str], more: &[&str]) -> std::process::Command {
        let rest = [
            "--model",
            "tiny.gguf",
            "--threads",
            "1",
            "--dataset",
            "custom_jsonl",
        ];
        let data = ["--data_path", "prompts.jsonl"];
        self.command(&[command, &rest, &data, more].concat())
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The only entry of a folder.
fn only(folder: &Path) -> PathBuf {
    let names = names(folder);
    assert_eq!(names.len(), 1, "{names:?}");
    folder.join(&names[0])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}
