//! Which part of the source may use which, as ARCHITECTURE.md states.

use std::fs;
use std::path::{Path, PathBuf};

/// The source files below a folder of `src`, without unit tests.
fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    let file = root.with_extension("rs");
    found.extend(file.is_file().then_some(file));
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    found
}

/// The code of a file before its unit tests, without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .to_owned();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    // In a module directly below `app`, both are the same path.
    match file
        .parent()
        .is_some_and(|parent| parent.ends_with("src/app"))
    {
        true => code.replace("super::", "crate::app::"),
        false => code,
    }
}

/// Fails if a file below `folder` contains one of these words.
fn holds_none(folder: &str, words: &[&str]) {
    let files = files(folder);
    assert!(!files.is_empty(), "src/{folder} has no files");
    for file in files {
        let code = code(&file);
        for word in words {
            assert!(!code.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn the_engine_knows_nothing_of_its_users() {
    holds_none(
        "engine",
        &[
            "crate::app",
            "crate::ui",
            "crate::tui",
            "crate::cli",
            "crate::transcript",
            "crate::eval",
            "crate::server",
        ],
    );
}

#[test]
fn the_transcript_knows_nothing_of_the_screen() {
    holds_none(
        "transcript",
        &["crate::app", "crate::ui", "crate::tui", "crate::cli"],
    );
}

#[test]
fn the_app_does_no_io_and_draws_nothing() {
    holds_none(
        "app",
        &[
            "crate::ui",
            "crate::tui",
            "crate::cli",
            "std::fs",
            "std::io",
            "Instant",
            "SystemTime",
            "std::env",
            "ratatui::widgets",
            "ratatui::style",
        ],
    );
}

#[test]
fn drawing_changes_nothing_and_knows_no_driver() {
    holds_none(
        "ui",
        &[
            "crate::tui",
            "crate::cli",
            "&mut App",
            "&mut State",
            "state_mut(",
            "std::fs",
        ],
    );
}

/// Within the app each module uses only those before it.
#[test]
fn the_app_is_layered() {
    let floors = [
        "appearance",
        "controls",
        "input",
        "config",
        "commands",
        "state",
        "message",
        "available",
        "update",
        "hints",
    ];
    for (floor, module) in floors.iter().enumerate() {
        let above: Vec<String> = floors[floor + 1..]
            .iter()
            .map(|above| format!("crate::app::{above}"))
            .collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        holds_none(&format!("app/{module}"), &above);
    }
}

#[test]
fn the_protocol_of_a_remote_engine_knows_neither_side() {
    holds_none(
        "remote",
        &[
            "crate::app",
            "crate::ui",
            "crate::tui",
            "crate::cli",
            "crate::server",
        ],
    );
}
