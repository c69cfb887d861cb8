//! Files and command lines of version 0.1 keep working.

use crate::support::tiny;
use serde_json::Value;
use skiplens::app::Config;
use skiplens::engine::decode::{Controller, Stats, Strategy};
use skiplens::transcript::{self, Session};
use std::path::{Path, PathBuf};
use std::process::Command;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/version-0.1")
        .join(name)
}

/// Number of rounds, of drafted, of accepted and of kept tokens.
fn counts(session: &Session) -> [usize; 4] {
    let Stats {
        rounds,
        drafted,
        accepted,
        tokens,
        ..
    } = session.stats();
    [rounds, drafted, accepted, tokens]
}

#[test]
fn journals_load() {
    let session = transcript::load(&fixture("session.jsonl")).unwrap();
    assert_eq!(counts(&session), [49, 18, 6, 55]);
    let text = session.runs().next().unwrap().text();
    assert!(text.starts_with("Two colours that are often confused"));
    let session = transcript::load(&fixture("session-with-controllers.jsonl")).unwrap();
    assert_eq!(counts(&session), [22, 20, 10, 32]);
    let controllers: Vec<Controller> = session
        .rounds()
        .map(|round| round.settings.controller)
        .collect();
    assert!(controllers.contains(&Controller::Fixed));
    assert!(controllers.contains(&Controller::Confidence { threshold: 0.4 }));
}

#[test]
fn exports_and_generated_json_are_imported() {
    for (name, wanted) in [
        ("export.json", [22, 20, 10, 32]),
        ("generate.json", [3, 3, 1, 4]),
    ] {
        let (session, notes) = transcript::import(&fixture(name)).unwrap();
        assert_eq!(counts(&session), wanted, "{name}");
        assert_eq!(notes, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_settings_file_is_read() {
    let text = std::fs::read_to_string(fixture("config.toml")).unwrap();
    let config: Config = toml::from_str(&text).unwrap();
    let preset = &config.presets["late"];
    assert_eq!(preset.system, "Be brief.");
    assert_eq!(preset.settings.strategy, Strategy::Autoregressive);
    assert_eq!(preset.settings.exit_layer, 8);
    assert_eq!(preset.settings.stop_strings, ["END"]);
    let keys = toml::to_string(&config.keys).unwrap();
    assert!(keys.contains("ctrl-e") && keys.contains("z = \"regenerate\""));
}

/// Every line of the fixture runs on a tiny model.
#[test]
fn command_lines_run() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    std::fs::write(folder.path().join("prompt.txt"), "abc").unwrap();
    let lines = std::fs::read_to_string(fixture("command-lines.txt")).unwrap();
    for line in lines
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let output = Command::new(env!("CARGO_BIN_EXE_skiplens"))
            .current_dir(folder.path())
            .args(line.split(' '))
            .env("SKIPLENS_DATA_DIR", folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {errors}");
        if line.contains("--json") {
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert!(printed.is_object(), "{line}");
        }
    }
}
