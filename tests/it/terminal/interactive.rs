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
    // Number of answers, if the program waits for the next prompt.
    let answers = |screen: &str| match screen.trim_end().ends_with("\n>") {
        true => Some(screen.matches(" · generated ").count()),
        false => None,
    };
    session.wait("the first question", |screen| answers(screen) == Some(0));
    session.type_("hello the door\r");
    session.wait("the first answer", |screen| answers(screen) == Some(1));
    // The previous line is recalled from the history and edited.
    session.type_("\x1b[A again\r");
    let screen = session.wait("the second answer", |screen| answers(screen) == Some(2));
    assert!(screen.contains("> hello the door again"), "{screen}");
    // An empty line and Ctrl-C show the prompt again; Ctrl-D ends the program.
    for key in ["\r", "\x03"] {
        let before = session.contents();
        session.type_(key);
        session.wait("the next question", |screen| {
            screen != before && screen.trim_end().ends_with('>')
        });
    }
    session.type_("\x04");
    assert!(session.ended().success());
}
