//! The command line as scripts and people use it: spellings, values, streams and errors.

mod faults;
mod installed;
mod layerskip;
#[cfg(unix)]
mod streams;
mod values;

use crate::support::tiny;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A tiny model in a folder of its own, which is also the data folder.
pub struct Tiny {
    pub folder: tempfile::TempDir,
}

impl Tiny {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tiny::gguf().write(&folder.path().join("tiny.gguf"));
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, without standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skiplens"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("SKIPLENS_DATA_DIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `generate` on the tiny model, which must succeed.
    fn generate(&self, args: &[&str]) -> Generated {
        let model = [
            "generate",
            "--model",
            "tiny.gguf",
            "--threads",
            "1",
            "--json",
        ];
        let output = self.run(&[&model, args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {said}");
        Generated {
            report: serde_json::from_slice(&output.stdout).unwrap(),
            said,
        }
    }

    /// The message with which `generate` on the tiny model fails, with status 2.
    fn refused(&self, args: &[&str]) -> String {
        let model = ["generate", "--model", "tiny.gguf"];
        fault(&self.run(&[&model, args].concat()), &format!("{args:?}"))
    }
}

/// The output of a run.
struct Generated {
    report: Value,
    said: String,
}

impl Generated {
    fn text(&self) -> &str {
        self.report["text"].as_str().unwrap()
    }

    fn settings(&self) -> &Value {
        &self.report["rounds"][0]["settings"]
    }

    /// The notes, such as those about options without effect.
    fn notes(&self) -> Vec<&str> {
        let lines = self.said.lines();
        lines
            .filter_map(|line| line.strip_prefix("note: "))
            .collect()
    }
}

/// The message of a failed command. Asserts that it is the only one, without a crash report or styles, and the status
/// 2.
pub fn fault(output: &Output, what: &str) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{what}: {message}");
    assert!(!message.contains('\x1b'), "{what}: {message:?}");
    for word in ["panicked", "Backtrace", "BACKTRACE", "Location"] {
        assert!(!message.contains(word), "{what}: {message}");
    }
    let heads = ["skiplens: ", "error: "];
    let messages = message
        .lines()
        .filter(|line| heads.iter().any(|head| line.starts_with(head)));
    assert_eq!(messages.count(), 1, "{what}: {message}");
    message
}
