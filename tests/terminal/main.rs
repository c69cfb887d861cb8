//! The real binary in a pseudo-terminal: it starts, shows, obeys and leaves the terminal as it was.
#![cfg(unix)]

mod cost;
mod lending;
mod picture;
mod session;
#[path = "../support/mod.rs"]
mod support;

use session::Session;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_missing_model_is_explained_and_the_terminal_is_given_back() {
    let mut session = Session::start(Path::new("/nowhere/model.gguf"), 80, 24);
    session.wait("the first frame", |screen| screen.contains("controls"));
    session.wait("the failure", |screen| screen.contains("could not be loaded"));
    session.resize(120, 40);
    session.wait("the new size", |screen| screen.lines().any(|line| line.chars().count() > 110));
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_signal_ends_it_with_the_terminal_restored() {
    let session = Session::start(Path::new("/nowhere/model.gguf"), 80, 24);
    session.wait("the first frame", |screen| screen.contains("could not be loaded"));
    let id = session.child.process_id().expect("an id");
    // SAFETY: kill sends a signal to the child that this test started.
    assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGTERM) }, 0);
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_chat_with_a_real_model() {
    let Some(model) = support::smollm2() else { return };
    let mut session = Session::start(&model, 100, 30);
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_("Write a long story about a fox.\r");
    session.wait("tokens", |screen| screen.contains("tok/s") && screen.contains("%"));
    let (column, row) = session.find("exit layer").expect("the slider");
    session.drag((column + 20, row), (column + 24, row));
    session.wait("the mark of the new exit layer", |screen| screen.contains("‹E"));
    session.picture();
    session.type_("\x1b");
    session.wait("the end", |screen| screen.contains("cancelled"));
    session.resize(70, 20);
    session.wait("the new size", |screen| screen.lines().all(|line| line.chars().count() <= 70));
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

/// How many tokens of the answer the screen shows.
fn shown_tokens(screen: &str) -> usize {
    let line = screen.lines().find(|line| line.contains(" tok ·")).unwrap_or_default();
    let before = line.split(" tok ·").next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What the screen showed as finished is in the journal, whenever the program is killed.
#[test]
fn killing_the_program_loses_nothing_it_showed() {
    let Some(model) = support::smollm2() else { return };
    for delay in [0, 70, 190, 430, 610] {
        let mut session = Session::start(&model, 100, 30);
        session.wait("the model", |screen| screen.contains(" layers · "));
        session.type_("Write a long story about a fox.\r");
        session.wait("tokens", |screen| shown_tokens(screen) > 0);
        std::thread::sleep(Duration::from_millis(delay));
        let shown = shown_tokens(&session.contents());
        let id = session.child.process_id().expect("an id");
        // SAFETY: kill sends a signal to the child that this test started.
        assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) }, 0);
        session.child.wait().expect("an end");
        let kept =
            skiplens::transcript::Store::at(session.home.path().join("skiplens")).load("last").expect("a journal");
        assert_eq!(kept.turns[0].content(), "Write a long story about a fox.");
        assert!(kept.stats().tokens >= shown, "{} of {shown} tokens were kept", kept.stats().tokens);
        assert!(shown > 0);
    }
}
