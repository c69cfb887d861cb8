//! Paths from a hostile file to the terminal of a command: no control character gets through.

use super::session::{Session, binary};
use crate::support::{hub, tiny};
use portable_pty::CommandBuilder;
use skiplens::safe_text::is_unsafe;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Sequences that set a title, clear the screen, set a colour, delete, override the direction of text and overwrite a
/// line, and a C1 control.
const HOSTILE: &str = "a\x1b]0;x\x07\x1b[2J\x1b[38;5;196m\u{9b}31m\u{7f}\u{202e}\rspoof";

/// A command, and whether it prints text of the file.
struct Road {
    name: &'static str,
    args: Vec<String>,
    vars: Vec<(&'static str, String)>,
    /// Whether its output quotes the file.
    quotes: bool,
}

/// Folders full of hostile files.
struct Files {
    folder: tempfile::TempDir,
    hub: hub::FakeHub,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let served = hub::Served {
            files: [(format!("{HOSTILE}.gguf"), tiny::gguf().bytes())].into(),
            ..Default::default()
        };
        let files = Self {
            folder,
            hub: hub::FakeHub::start(served),
        };
        tiny::gguf_saying(HOSTILE).write(&files.path("model.gguf"));
        files.huggingface("kind", |folder| {
            let mut config = tiny::config_json();
            config["model_type"] = HOSTILE.into();
            config["architectures"] = serde_json::json!([HOSTILE]);
            write_json(&folder.join("config.json"), &config);
        });
        files.huggingface("tokenizer", |folder| {
            let mut tokenizer = tiny::tokenizer_json();
            tokenizer["model"]["merges"] = serde_json::json!([format!("{HOSTILE} x")]);
            write_json(&folder.join("tokenizer.json"), &tokenizer);
        });
        files.huggingface("shard", |folder| {
            let index = serde_json::json!({"weight_map": {"model.norm.weight": HOSTILE}});
            write_json(&folder.join("model.safetensors.index.json"), &index);
            std::fs::remove_file(folder.join("model.safetensors")).unwrap();
        });
        files.huggingface("tensor", |folder| {
            let header = serde_json::json!({HOSTILE: {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}});
            let header = header.to_string();
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 4]);
            std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
        });
        files.huggingface(HOSTILE, |folder| {
            std::fs::write(folder.join("config.json"), "{").unwrap();
        });
        let foreign = tiny::gguf_metadata().tensor(HOSTILE, &[1], 99, vec![0; 32]);
        foreign.write(&files.path("tensor.gguf"));
        std::fs::create_dir_all(files.path("skiplens/sessions")).unwrap();
        std::fs::create_dir_all(files.path("skiplens/trash")).unwrap();
        std::fs::write(files.path("skiplens/sessions/one.jsonl"), journal("one")).unwrap();
        let id = format!("skiplens/sessions/{HOSTILE}.jsonl");
        std::fs::write(files.path(&id), journal(HOSTILE)).unwrap();
        std::fs::write(
            files.path("skiplens/sessions/broken.jsonl"),
            journal("broken") + "{}\n{\n{}\n",
        )
        .unwrap();
        let thrown = format!("skiplens/trash/{HOSTILE}.jsonl");
        std::fs::write(files.path(&thrown), journal(HOSTILE)).unwrap();
        std::fs::write(files.path(&format!("{HOSTILE}.json")), "{").unwrap();
        let import = serde_json::json!({"rounds": [], "text": HOSTILE, "stop": HOSTILE});
        write_json(&files.path("import.json"), &import);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn huggingface(&self, name: &str, change: impl FnOnce(&Path)) {
        let folder = self.path(name);
        std::fs::create_dir(&folder).unwrap();
        tiny::write_huggingface(&folder);
        change(&folder);
    }

    fn road(&self, name: &'static str, args: &[&str]) -> Road {
        Road {
            name,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            vars: vec![("SKIPLENS_DATA_DIR", self.text("skiplens"))],
            quotes: true,
        }
    }

    fn roads(&self) -> Vec<Road> {
        let model = self.text("model.gguf");
        let id = self.text(&format!("skiplens/sessions/{HOSTILE}.jsonl"));
        let generate = |name, model: &str, more: &[&str]| {
            let sampling = ["--temperature", "2", "--top-p", "1"];
            let args = ["generate", "-p", "hello", "-n", "40", "--model", model];
            let args = [&args[..], &sampling].concat();
            self.road(name, &[&args[..], more].concat())
        };
        let transcript = |name, args: &[&str]| self.road(name, &[&["transcript"], args].concat());
        let silent = |road: Road| Road {
            quotes: false,
            ..road
        };
        let var = |road: Road, name, value: String| {
            let mut road = road;
            road.vars.retain(|(other, _)| *other != name);
            road.vars.push((name, value));
            road
        };
        let from_hub = |road: Road| {
            let road = var(road, "HF_ENDPOINT", self.hub.endpoint.clone());
            var(road, "HF_HOME", self.text("hub"))
        };
        let mut roads = vec![
            generate("text", &model, &[]),
            generate("text without colour", &model, &["--color", "never"]),
            generate("text in colour", &model, &["--color", "always"]),
            generate("text at the end", &model, &["--streamer", "none"]),
            generate("json", &model, &["--json"]),
            generate("json with detail", &model, &["--json", "--detail"]),
            generate("template", &model, &["--chat"]),
            generate("stop word", &model, &["--stop-words", HOSTILE, "x"]),
            generate("path", &self.text(HOSTILE), &[]),
            generate("no such path", &self.text(&format!("none{HOSTILE}")), &[]),
            generate("name", HOSTILE, &[]),
            generate("kind of model", &self.text("kind"), &[]),
            generate("tokenizer", &self.text("tokenizer"), &[]),
            generate("shard", &self.text("shard"), &[]),
            silent(generate("tensor", &self.text("tensor"), &[])),
            silent(generate("tensor of a GGUF", &self.text("tensor.gguf"), &[])),
            from_hub(silent(generate("download", hub::REPOSITORY, &[]))),
            generate("type", &model, &["--dtype", HOSTILE]),
            generate("device", &model, &["--device", HOSTILE]),
            generate("value", &model, &["--seed", HOSTILE]),
            generate("choice", &model, &["--strategy", HOSTILE]),
            generate("option", &model, &[&format!("--{HOSTILE}")]),
            generate("argument", &model, &[HOSTILE]),
            self.road(
                "prompt file",
                &[
                    "generate",
                    "--prompt-file",
                    &self.text(&format!("none{HOSTILE}")),
                ],
            ),
            self.road(
                "bench",
                &["bench", "--seconds", "0", "-n", "4", "--model", &model],
            ),
            self.road(
                "bench as json",
                &[
                    "bench",
                    "--seconds",
                    "0",
                    "-n",
                    "4",
                    "--json",
                    "--model",
                    &model,
                ],
            ),
            self.road("command", &[HOSTILE]),
            transcript("list", &["list"]),
            transcript("list as json", &["list", "--json"]),
            transcript("search", &["list", "spoof"]),
            transcript("search as json", &["list", "spoof", "--json"]),
            transcript("search in vain", &["list", &format!("none{HOSTILE}")]),
            transcript("show", &["show", "one"]),
            transcript(
                "show in colour",
                &["show", "one", "--rejected", "--color", "always"],
            ),
            transcript("show a path", &["show", &id, "--rejected"]),
            transcript(
                "show what is not there",
                &["show", &format!("none{HOSTILE}")],
            ),
            transcript("salvage", &["show", "broken", "--salvage"]),
            transcript("replay", &["replay", "one", "--speed", "inf"]),
            transcript(
                "import",
                &["import", &self.text("import.json"), "--title", HOSTILE],
            ),
            transcript(
                "import what is broken",
                &["import", &self.text(&format!("{HOSTILE}.json"))],
            ),
            transcript(
                "export to nowhere",
                &[
                    "export",
                    "one",
                    "-o",
                    &self.text(&format!("none{HOSTILE}/x.md")),
                ],
            ),
            transcript("export to no format", &["export", "one", "-o", HOSTILE]),
            transcript(
                "export over another",
                &[
                    "export",
                    "one",
                    "-o",
                    &self.text(&format!("{HOSTILE}.json")),
                ],
            ),
            silent(transcript("rename", &["rename", "one", HOSTILE])),
            transcript("trash", &["trash"]),
            transcript("trash as json", &["trash", "list", "--json"]),
            transcript("restore", &["trash", "restore", HOSTILE]),
            transcript("delete", &["delete", HOSTILE]),
            var(
                transcript("no sessions", &["list"]),
                "SKIPLENS_DATA_DIR",
                self.text(&format!("none{HOSTILE}")),
            ),
        ];
        for format in [
            "markdown",
            "html",
            "ansi",
            "svg",
            "tokens-csv",
            "rounds-csv",
            "json",
        ] {
            let args = ["export", "one", "--format", format];
            roads.push(Road {
                // Rounds contain only numbers.
                quotes: format != "rounds-csv",
                ..transcript("export", &args)
            });
        }
        roads
    }
}

fn write_json(path: &Path, value: &serde_json::Value) {
    std::fs::write(path, value.to_string()).unwrap();
}

/// A journal in which every text is hostile.
fn journal(id: &str) -> String {
    let token =
        |id: u32| serde_json::json!({"id": id, "text": HOSTILE, "p_draft": 0.5, "p_verify": 0.5});
    let lines = [
        serde_json::json!({"format": "skiplens-session", "schema": 1, "program": HOSTILE, "id": id,
            "created_ms": 1_700_000_000_000_u64, "created": HOSTILE, "title": HOSTILE}),
        serde_json::json!({"kind": "model", "name": HOSTILE, "dtype": HOSTILE, "device": HOSTILE}),
        serde_json::json!({"kind": "settings", "exit_layer": 6}),
        serde_json::json!({"kind": "system", "text": HOSTILE}),
        serde_json::json!({"kind": "user", "turn": 0, "at": 1_700_000_000_000_u64, "text": HOSTILE}),
        serde_json::json!({"kind": "run", "turn": 1, "at": 1_700_000_000_000_u64, "run": 0}),
        serde_json::json!({"kind": "round", "run": 0, "index": 0, "position": 4,
            "drafted": [token(1), token(2)], "accepted": 1,
            "last": {"id": 3, "text": HOSTILE, "origin": "corrected", "p_draft": 0.1, "p_verify": 0.9},
            "draft_seconds": 0.01, "verify_seconds": 0.01}),
    ];
    lines.map(|line| line.to_string() + "\n").concat()
}

/// The control characters in `text`, except for line ends, the sequences of our own styles and those of the progress
/// bar.
fn acting(text: &str) -> Option<String> {
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_unsafe(c) && c != '\n' && c != '\t') {
        rest = &rest[at..];
        let length = own_sequence(rest).filter(|_| !rest.starts_with("\rspoof"));
        match length {
            Some(length) => rest = &rest[length..],
            None => return Some(rest.chars().take(20).collect()),
        }
    }
    None
}

/// Length of the sequence that `text` begins with, if it is one of ours.
fn own_sequence(text: &str) -> Option<usize> {
    if text.starts_with('\r') {
        return Some(1);
    }
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let (parameters, last) = (&parameters[..end], &parameters[end..=end]);
    let style = last == "m" && parameters != "38;5;196";
    let line = ["K", "A", "G"].contains(&last) || (last == "J" && parameters == "0");
    (style || line).then_some(end + 3)
}

#[test]
fn the_check_finds_control_characters() {
    for bad in [
        "\x1b]0;x",
        "\x07",
        "\x1b[2J",
        "\x1b[38;5;196m",
        "\u{9b}",
        "\u{7f}",
        "\u{202e}",
        "\rspoof",
    ] {
        assert!(acting(&format!("a\r\n{bad}b")).is_some(), "{bad:?}");
    }
    assert_eq!(acting("a\r\n\x1b[1;33mb\x1b[0m\x1b[2K␛[2J"), None);
}

/// Both streams are a terminal.
#[test]
fn nothing_hostile_acts_on_the_terminal() {
    let files = Files::new();
    for road in files.roads() {
        let mut command = CommandBuilder::new(binary());
        command.args(&road.args);
        let (log, _) = Session::with_vars(command, &road.vars).output();
        assert_eq!(acting(&log), None, "{}: {log:?}", road.name);
        let marks = ["␛", "⟨202E⟩", "\\u{1b}", "\\u001b"];
        assert!(
            !road.quotes || marks.iter().any(|mark| log.contains(mark)),
            "{} is to quote the file: {log:?}",
            road.name
        );
        assert!(!log.contains("panicked"), "{}: {log:?}", road.name);
    }
}

/// A log may be printed on a terminal later.
#[test]
fn nothing_hostile_acts_in_a_log() {
    let files = Files::new();
    for road in files.roads() {
        let output = Command::new(binary())
            .args(&road.args)
            .envs(road.vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(acting(&log), None, "{}: {log:?}", road.name);
        assert!(!log.contains('\x1b'), "{}: {log:?}", road.name);
    }
}

/// The playground's own messages go to the same terminal.
#[test]
fn a_hostile_settings_file_is_quoted_harmlessly() {
    for text in [
        format!("theme = {}\n", serde_json::Value::from(HOSTILE)),
        format!("{} = 1\n", serde_json::Value::from(HOSTILE)),
        format!("[keys.chat]\nz = {}\n", serde_json::Value::from(HOSTILE)),
        format!("[keys.{}]\n", serde_json::Value::from(HOSTILE)),
        HOSTILE.to_owned(),
    ] {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("skiplens")).unwrap();
        std::fs::write(home.path().join("skiplens/config.toml"), &text).unwrap();
        let session = Session::with(&[], home, (100, 30));
        let (log, status) = session.output();
        assert_eq!(acting(&log), None, "{text:?}: {log:?}");
        assert!(log.contains("settings file"), "{text:?}: {log:?}");
        assert_eq!(status.exit_code(), 2, "{text:?}: {log:?}");
    }
}
