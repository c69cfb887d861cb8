//! Installation: completions, man pages, the report for bugs, and finding the model.

use super::Tiny;
use crate::support::tiny;
use skiplens::engine::weights;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COMMANDS: [&str; 10] = [
    "generate",
    "benchmark",
    "sweep",
    "correctness",
    "eval",
    "serve",
    "health",
    "devices",
    "doctor",
    "transcript",
];

#[test]
fn completions_and_man_pages_know_every_command() {
    let tiny = Tiny::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = tiny.run(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(script.contains("exit-layer"), "{shell}");
    }
    assert!(!tiny.run(&["completions", "cobol"]).status.success());
    let page = tiny.run(&["man"]);
    assert!(
        String::from_utf8(page.stdout)
            .unwrap()
            .contains(".TH skiplens")
    );
    assert!(tiny.run(&["man", "pages"]).status.success());
    for command in COMMANDS {
        let page = tiny.path("pages").join(format!("skiplens-{command}.1"));
        assert!(page.is_file(), "{}", page.display());
    }
}

/// The options of every command, as the completions for bash list them. The other shells complete the same options.
#[test]
fn completions_are_as_reviewed() {
    let tiny = Tiny::new();
    let script = |shell: &str| String::from_utf8(tiny.run(&["completions", shell]).stdout).unwrap();
    let others = ["zsh", "fish", "elvish", "powershell"].map(|shell| (shell, script(shell)));
    let wrap = textwrap::Options::new(100).word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut command = String::new();
    let mut listed = String::new();
    let bash = script("bash");
    for line in bash.lines().map(str::trim) {
        if let Some(name) = line.strip_suffix(')').filter(|name| is_command(name)) {
            command = name.replace("__subcmd__", " ");
        } else if let Some(options) = line.strip_prefix("opts=\"-") {
            let options = format!("-{}", options.trim_end_matches('"'));
            listed += &format!("{command}\n{}\n\n", textwrap::fill(&options, &wrap));
            for (shell, script) in &others {
                // For fish, clap_complete generates two levels of commands only.
                if *shell == "fish" && command.split(' ').count() > 3 {
                    continue;
                }
                let names = options
                    .split_whitespace()
                    .filter_map(|option| option.strip_prefix("--"));
                for name in names {
                    assert!(script.contains(name), "{shell}: {command} --{name}");
                }
            }
        }
    }
    assert_reviewed("completions", &listed);
}

fn is_command(label: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c == '_' || c == '-';
    label.starts_with("skiplens") && label.chars().all(word)
}

/// All man pages, without the version.
#[test]
fn man_pages_are_as_reviewed() {
    let tiny = Tiny::new();
    assert!(tiny.run(&["man", "pages"]).status.success());
    let mut files: Vec<_> = std::fs::read_dir(tiny.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let pages: String = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_reviewed("man", &pages.replace(version, "VERSION"));
}

fn assert_reviewed(name: &str, text: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn the_report_names_the_machine_and_no_home_folder() {
    let tiny = Tiny::new();
    let home = tiny.path("home-of-somebody");
    let output = tiny
        .command(&["doctor"])
        .env("HOME", &home)
        .env("HF_TOKEN", "hf_secret")
        .env_remove("SKIPLENS_DATA_DIR")
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "skiplens ",
        "cpu ",
        "memory ",
        "HF_TOKEN is set",
        "bundled ",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    for private in ["home-of-somebody", "hf_secret"] {
        assert!(!report.contains(private), "{private}\n{report}");
    }
}

/// With the program in `bin` and the model in `share/skiplens` of any prefix, from any folder, with an empty home. A
/// program with an embedded model needs no file.
#[cfg(unix)]
#[test]
fn an_installation_in_a_prefix_finds_its_model() {
    let prefix = tempfile::tempdir().unwrap();
    let at = |name: &str| prefix.path().join(name);
    for folder in ["bin", "share/skiplens", "home"] {
        std::fs::create_dir_all(at(folder)).unwrap();
    }
    std::fs::copy(env!("CARGO_BIN_EXE_skiplens"), at("bin/skiplens")).unwrap();
    let expected = if cfg!(feature = "embed") {
        PathBuf::from(weights::EMBEDDED_PATH)
    } else {
        let model = at("share/skiplens").join(weights::BUNDLED_FILE);
        tiny::gguf().write(&model);
        model.canonicalize().unwrap()
    };
    let output = Command::new(at("bin/skiplens"))
        .args(["generate", "--prompt", "hello", "--max-steps", "3"])
        .arg("--json")
        .current_dir("/")
        .env_clear()
        .env("HOME", at("home"))
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let path = json["model"]["path"].as_str().unwrap();
    assert_eq!(Path::new(path), expected);
}
