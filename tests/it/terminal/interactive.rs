//! `generate` without a prompt on a terminal.

use super::session::Session;
use crate::support::tiny;
use std::ffi::OsStr;

#[test]
fn prompts_are_asked_for_until_the_end_of_input() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("tiny.gguf");
    tiny::gguf().write(&model);
    let args = [
        "generate",
        "--model",
        model.to_str().unwrap(),
        "--max_steps",
        "12",
    ];
    let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
    let mut session = Session::with(&args, home, (100, 40));
    session.wait("the question", |screen| {
        screen.lines().any(|line| line.starts_with('>'))
    });
    session.type_("hello the door\r");
    session.wait("the answer's summary", |screen| {
        screen.matches("stopped:").count() == 1
    });
    session.type_("\r");
    // The line before the last is taken from the history and changed.
    session.type_("\x1b[A again\r");
    let screen = session.wait("the second answer", |screen| {
        screen.matches("stopped:").count() == 2
    });
    assert!(screen.contains("> hello the door again"), "{screen}");
    assert!(screen.contains("generated 12 tokens"), "{screen}");
    session.type_("\x03");
    session.type_("\x04");
    assert!(session.ended().success());
}
