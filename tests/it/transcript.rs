//! `skiplens transcript` as a user runs it.

use crate::support;
use std::path::Path;
use std::process::{Command, Output};

/// The journal of a killed program: its last line is incomplete.
const JOURNAL: &str = r#"{"format":"skiplens-session","schema":1,"program":"skiplens 0.1.0","id":"x","created_ms":1700000000000,"created":"","title":""}
{"kind":"model","name":"SmolLM2","dtype":"q8_0\u001b]0;x\u0007","device":"cpu\u009b2J"}
{"kind":"settings","exit_layer":6}
{"kind":"user","turn":0,"at":1700000000000,"text":"Hello <b>there</b>"}
{"kind":"run","turn":1,"at":1700000000000,"run":0}
{"kind":"round","run":0,"index":0,"position":4,"drafted":[{"id":1,"text":"Good","p_draft":0.5,"p_verify":0.5},{"id":2,"text":" day","p_draft":0.5,"p_verify":0.1}],"accepted":1,"last":{"id":3,"text":" morning\u001b[2J","origin":"corrected","p_draft":0.1,"p_verify":0.9},"draft_seconds":0.01,"verify_seconds":0.01}
{"kind":"round","run":0,"ind"#;

fn skiplens(data: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skiplens"))
        .arg("transcript")
        .args(args)
        .env("SKIPLENS_DATA_DIR", data)
        .output()
        .unwrap()
}

/// Standard output of a command that succeeds.
fn printed(data: &Path, args: &[&str]) -> String {
    let output = skiplens(data, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The message of a command that fails.
fn complaint(data: &Path, args: &[&str]) -> String {
    let output = skiplens(data, args);
    assert!(!output.status.success(), "{args:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

fn with_journal() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("killed.jsonl");
    std::fs::write(&file, JOURNAL).unwrap();
    let said = printed(folder.path(), &["import", file.to_str().unwrap()]);
    let id = said.trim().strip_prefix("imported as ").unwrap().to_owned();
    (folder, id)
}

#[test]
fn sessions_are_imported_listed_renamed_deleted_and_restored() {
    let (folder, id) = with_journal();
    let data = folder.path();
    assert!(printed(data, &["list"]).contains("Hello <b>there</b>"));
    printed(data, &["rename", &id, "Greeting"]);
    assert!(printed(data, &["list", "greet"]).contains("Greeting"));
    let found = printed(data, &["list", "GOOD", "Morning"]);
    assert!(
        found.starts_with("session ") && found.contains("\n    Good morning␛[2J\n"),
        "{found}"
    );
    assert_eq!(
        printed(data, &["list", "no", "such\x1b[2J"]),
        "no session contains “no such␛[2J”\n"
    );
    assert_eq!(printed(data, &["list", "nothing", "--json"]), "");
    let line: serde_json::Value =
        serde_json::from_str(&printed(data, &["list", "--json"])).unwrap();
    assert_eq!(
        (
            line["tokens"].as_u64(),
            line["drafted"].as_u64(),
            line["accepted"].as_u64()
        ),
        (Some(2), Some(2), Some(1))
    );
    assert!(printed(data, &["delete", "last"]).contains(&id));
    assert!(printed(data, &["list"]).contains("no sessions"));
    assert!(printed(data, &["list", "--trash"]).contains("Greeting"));
    printed(data, &["restore", &id]);
    assert!(printed(data, &["list"]).contains("Greeting"));
}

#[test]
fn the_trash_is_listed_restored_from_and_emptied() {
    let (folder, id) = with_journal();
    let data = folder.path();
    printed(data, &["delete", &id]);
    let listed = printed(data, &["trash"]);
    assert!(
        listed.contains("Hello <b>there</b>") && listed.contains("1 session, "),
        "{listed}"
    );
    printed(data, &["trash", "restore", &id]);
    assert!(printed(data, &["trash"]).contains("no sessions"));
    printed(data, &["delete", &id]);
    assert!(printed(data, &["trash", "empty", "--older-than", "1"]).contains("nothing to remove"));
    assert!(
        complaint(data, &["trash", "empty"]).contains("1 session, "),
        "it asks before"
    );
    assert!(printed(data, &["trash", "empty", "--yes"]).contains("removed 1 session"));
    assert!(complaint(data, &["trash", "restore", &id]).contains("no session"));
}

#[test]
fn dates_are_in_the_users_time_zone() {
    let (folder, _) = with_journal();
    let at = |zone: &str, args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_skiplens"))
            .arg("transcript")
            .args(args)
            .env("SKIPLENS_DATA_DIR", folder.path())
            .env("TZ", zone)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(at("UTC0", &["list"]).contains("2023-11-14 22:13 +00:00"));
    assert!(at("XXX-05:30", &["show"]).contains("2023-11-15 03:43 +05:30"));
    assert!(at("XXX-05:30", &["export", "-f", "html"]).contains("2023-11-14 22:13 UTC"));
}

#[test]
fn control_characters_are_not_printed() {
    let (folder, _) = with_journal();
    let shown = printed(folder.path(), &["show", "--rejected"]);
    assert!(
        shown.contains("Good day morning␛[2J") && !shown.contains('\x1b'),
        "{shown}"
    );
    assert!(
        shown.contains("q8_0␛]0;x␇ · cpu⟨009B⟩2J"),
        "the model's description is foreign, too: {shown}"
    );
    assert!(!printed(folder.path(), &["show"]).contains(" day"));
    let coloured = printed(folder.path(), &["show", "--color", "always"]);
    assert!(
        coloured.contains("\x1b[30;42mGood\x1b[0m")
            && coloured.contains("\x1b[3;33m morning␛[2J\x1b[0m")
    );
    assert!(!coloured.contains("\x1b]"), "{coloured:?}");
    let played = printed(folder.path(), &["replay", "--speed", "inf"]);
    assert!(
        played.contains("Hello <b>there</b>") && played.contains("Good morning␛[2J"),
        "{played}"
    );
    assert!(complaint(folder.path(), &["replay", "--speed", "0"]).contains("above 0"));
}

#[test]
fn exports_are_written_to_files_and_imported_again() {
    let (folder, _) = with_journal();
    let data = folder.path();
    let file = data.join("out.json");
    let file = file.to_str().unwrap();
    printed(data, &["export", "-o", file]);
    assert!(complaint(data, &["export", "-o", file]).contains("--force"));
    printed(data, &["export", "-o", file, "--force"]);
    assert_eq!(printed(data, &["show", file]), printed(data, &["show"]));
    assert!(
        printed(data, &["export", file, "-f", "html"]).contains("Hello &lt;b&gt;there&lt;/b&gt;")
    );
    printed(data, &["import", file]);
    assert_eq!(printed(data, &["list", "--json"]).lines().count(), 2);
    assert!(complaint(data, &["export"]).contains("--format (markdown, html, "));
    assert!(
        complaint(data, &["export", "-o", "x.txt"])
            .contains("the extension of x.txt names no format")
    );
    assert!(complaint(data, &["show", "20"]).contains("matches 2 sessions"));
    assert!(complaint(data, &["show", "nothing"]).contains("no session named"));
}

/// Every command refuses a file of a later schema with the same message and leaves it unchanged.
#[test]
fn files_from_the_future_are_refused_by_every_command() {
    let (folder, id) = with_journal();
    let data = folder.path();
    let file = data.join(format!("sessions/{id}.jsonl"));
    let later = std::fs::read_to_string(&file)
        .unwrap()
        .replacen("\"schema\":1", "\"schema\":7", 1);
    std::fs::write(&file, &later).unwrap();
    let path = file.to_str().unwrap();
    for args in [
        &["show"][..],
        &["show", "--salvage"],
        &["export", "-f", "html"],
        &["replay", "--speed", "inf"],
        &["replay", "--screen"],
        &["import", path],
        &["rename", "last", "x"],
    ] {
        let told = complaint(data, args);
        assert!(
            told.contains("newer skiplens") && told.contains("schema 7"),
            "{args:?}: {told}"
        );
        assert_eq!(told.lines().count(), 1, "{args:?}: {told}");
    }
    let listed = printed(data, &["list"]);
    assert!(
        listed.contains(&format!(
            "{id}  cannot be read: it was written by a newer skiplens"
        )),
        "{listed}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), later);
}

#[test]
fn faults_are_reported_once_and_name_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    for args in [
        &["show"][..],
        &["export", "-f", "html"],
        &["replay"],
        &["delete", "last"],
        &["trash", "restore", "last"],
    ] {
        assert!(
            complaint(data, args).contains("no sessions in "),
            "{args:?}"
        );
    }
    for args in [
        &["show", "/nowhere/x.jsonl"][..],
        &["import", "/nowhere/x.jsonl"],
    ] {
        let told = complaint(data, args);
        assert!(
            told.starts_with("skiplens: /nowhere/x.jsonl: no such file or folder"),
            "{told}"
        );
    }
}

/// The output of `generate --json` is imported as a session with the same counts, prompt and text.
#[test]
fn a_generation_is_imported_as_it_was_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, model) = (folder.path(), folder.path().join("tiny.gguf"));
    support::tiny::gguf().write(&model);
    for (name, form) in [("chat", &["--chat"][..]), ("text", &[])] {
        let output = Command::new(env!("CARGO_BIN_EXE_skiplens"))
            .args([
                "generate",
                "--json",
                "--max-steps",
                "24",
                "--prompt",
                "hello the door",
                "--model",
            ])
            .arg(&model)
            .args(form)
            .env("SKIPLENS_DATA_DIR", data)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let file = data.join(format!("{name}.json"));
        std::fs::write(&file, &output.stdout).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(report["stats"]["tokens"].as_u64().unwrap() > 0);
        let said = skiplens(data, &["import", file.to_str().unwrap(), "--title", name]);
        assert!(
            said.status.success() && said.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&said.stderr)
        );
        let id = String::from_utf8(said.stdout)
            .unwrap()
            .trim()
            .replace("imported as ", "");
        let kept: serde_json::Value =
            serde_json::from_str(&printed(data, &["export", &id, "-f", "json"])).unwrap();
        for what in ["text", "rounds", "tokens", "stop", "prompt"] {
            assert_eq!(kept[what], report[what], "{name}: {what}");
        }
        for count in ["tokens", "rounds", "drafted", "accepted", "prefill_tokens"] {
            assert_eq!(
                kept["stats"][count], report["stats"][count],
                "{name}: {count}"
            );
        }
        assert!(
            printed(data, &["list", name]).contains("tiny"),
            "the model is named"
        );
    }
}
