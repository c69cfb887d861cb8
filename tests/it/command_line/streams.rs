//! Streams that end early: a closed pipe, a full disk.

use super::{Tiny, fault};
use std::fs::File;
use std::io::PipeWriter;
use std::os::unix::process::ExitStatusExt;

fn printing() -> [Vec<&'static str>; 8] {
    let generate = [
        "generate",
        "--model",
        "tiny.gguf",
        "-p",
        "hello",
        "-n",
        "40",
    ];
    [
        generate.to_vec(),
        [&generate[..], &["--json"]].concat(),
        [&generate[..], &["--streamer", "none"]].concat(),
        vec!["bench", "--model", "tiny.gguf", "--seconds", "0", "-n", "4"],
        vec![
            "bench",
            "--model",
            "tiny.gguf",
            "--seconds",
            "0",
            "-n",
            "4",
            "--json",
        ],
        vec!["transcript", "list"],
        vec!["--help"],
        vec!["generate", "--help"],
    ]
}

/// A pipe whose reader is closed.
fn closed() -> PipeWriter {
    let (_, writer) = std::io::pipe().unwrap();
    writer
}

/// Like other programs, it is killed by SIGPIPE and prints nothing.
#[test]
fn a_closed_pipe_ends_every_command_silently() {
    let tiny = Tiny::new();
    for line in printing() {
        let output = tiny.command(&line).stdout(closed()).output().unwrap();
        assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{line:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line:?}");
    }
}

/// A closed standard error is ignored.
#[test]
fn closed_standard_error_is_no_fault() {
    let tiny = Tiny::new();
    for line in &printing()[..2] {
        let output = tiny.command(line).stderr(closed()).output().unwrap();
        assert!(
            output.status.success() && !output.stdout.is_empty(),
            "{line:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let tiny = Tiny::new();
    for line in printing() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = tiny.command(&line).stdout(full).output().unwrap();
        let told = fault(&output, &format!("{line:?}"));
        assert!(told.contains("the disk is full"), "{line:?}: {told}");
    }
}

/// The log contains what the engine did, and no text of prompts or answers.
#[test]
fn the_log_holds_spans_and_no_text() {
    let tiny = Tiny::new();
    let line = [
        "generate",
        "--log",
        "run.log",
        "--model",
        "tiny.gguf",
        "-p",
        "hello there",
        "-n",
        "8",
        "-E",
        "1",
    ];
    assert!(tiny.run(&line).status.success());
    let log = std::fs::read_to_string(tiny.path("run.log")).unwrap();
    for span in ["load", "loaded", "prefill", "draft", "verify"] {
        assert!(log.contains(span), "no {span} in\n{log}");
    }
    assert!(!log.contains("hello there"), "{log}");
    let before = tiny.run(&["--log", "none/run.log", "transcript", "list"]);
    let said = fault(&before, "a log that cannot be written");
    assert!(said.contains("none/run.log"), "{said}");
}
