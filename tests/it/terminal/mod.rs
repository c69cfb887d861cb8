//! The real binary in a pseudo-terminal: it starts, answers, takes keys, and restores the terminal.

mod cost;
mod dying;
mod interactive;
mod killed;
mod lending;
mod manners;
mod picture;
mod remote;
mod roads;
mod session;
mod signals;
mod tour;

use self::session::Session;
use crate::support;
use skiplens::engine::decode::{
    ClosingToken, Origin, Round, RoundTokens, Settings, Stats, StopReason,
};
use skiplens::engine::prompt::{Message, Prompt, Role};
use skiplens::engine::worker::RunId;
use skiplens::transcript::{Entry, Journal, RunEnd, Store};
use std::ffi::OsStr;
use std::path::Path;

#[test]
fn a_missing_model_is_explained_and_the_terminal_is_given_back() {
    let mut session = Session::start(Path::new("/nowhere/model.gguf"), 80, 24);
    session.wait("the first frame", |screen| screen.contains("controls"));
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.resize(120, 40);
    session.wait("the new size", |screen| {
        screen.lines().any(|line| line.chars().count() > 110)
    });
    for typed in 1..=20 {
        session.resize(100 + typed % 2, 30);
        session.type_("x");
        session.wait("a key that came with a new size", |screen| {
            screen.contains(&"x".repeat(typed.into()))
        });
    }
    // The first ctrl-c clears the prompt.
    session.type_("\x03\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_chat_with_a_real_model() {
    let Some(model) = support::smollm2() else {
        return;
    };
    let mut session = Session::start(&model, 100, 30);
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_("Write a long story about a fox.\r");
    session.wait("tokens", |screen| {
        screen.contains("tok/s") && screen.contains("%")
    });
    let (column, row) = session.find("exit layer").expect("the slider");
    session.drag((column + 20, row), (column + 24, row));
    session.wait("the mark of the new exit layer", |screen| {
        screen.contains("‹E")
    });
    session.picture();
    session.type_("\x1b");
    session.wait("the end", |screen| screen.contains("cancelled"));
    session.resize(70, 20);
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

/// A home folder with two saved sessions.
fn home_with_sessions() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a home");
    let store = Store::at(home.path().join("skiplens"));
    for (question, answer) in [
        ("Why is the sky blue?", " Because of Rayleigh."),
        ("What is the tide?", " The moon."),
    ] {
        let mut journal = Journal::begin(&store);
        let (run, settings) = (
            RunId(0),
            Settings {
                exit_layer: 3,
                ..Settings::default()
            },
        );
        let message = Message {
            role: Role::User,
            content: question.into(),
        };
        let tokens = answer.split_inclusive(' ').map(str::to_owned);
        let last = |(id, text): (u32, String)| ClosingToken::new(id, text, Origin::Plain, 0.5);
        let round = |last: ClosingToken| {
            let index = last.id as usize;
            let tokens = RoundTokens::chain(Vec::new(), 0, Some(last));
            {
                let mut made = Round::new(index, 20 + index, settings.clone(), tokens);
                made.verify_seconds = 0.05;
                made
            }
        };
        let rounds: Vec<Round> = (0..).zip(tokens).map(last).map(round).collect();
        let end = RunEnd::finished(StopReason::Eos, &Stats::of(&rounds), 0);
        let begin = Entry::Run {
            run,
            prompt: Prompt::Chat(vec![message]),
            settings: settings.clone(),
        };
        let entries = [Entry::User(question.into()), begin]
            .into_iter()
            .chain(rounds.into_iter().map(|round| Entry::Round {
                run,
                round: Box::new(round),
            }))
            .chain([Entry::End { run, end }]);
        entries.for_each(|entry| journal.append(entry).expect("an entry"));
        journal.close().expect("a journal");
    }
    home
}

#[test]
fn the_list_of_sessions_opens_one() {
    let args = ["--model", "/nowhere/model.gguf", "-E", "5"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the first frame", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("\x13");
    session.wait("the list", |screen| {
        screen.contains("2 sessions") && screen.contains("What is the tide?")
    });
    session.type_("rayleigh");
    session.wait("what is found", |screen| {
        screen.contains("1 session ") && screen.contains("Because of Rayleigh.")
    });
    session.type_("\r");
    session.wait("the session", |screen| {
        screen.contains("Because of Rayleigh.") && !screen.contains("╭ sessions")
    });
    let name = session.home.path().join("screen").display().to_string();
    session.type_(&format!("/picture {name}\r"));
    session.wait("the picture", |screen| screen.contains("saved as"));
    let picture = std::fs::read_to_string(name + ".svg").expect("a picture");
    assert!(
        picture.starts_with("<svg") && picture.contains("Rayleigh"),
        "{picture}"
    );
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_deleted_session_is_taken_back() {
    let args = ["--model", "/nowhere/model.gguf"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the first frame", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("/sessions\r");
    session.wait("the list", |screen| screen.contains("2 sessions"));
    session.type_("\x1b[3~");
    session.wait("the rest", |screen| screen.contains("1 session "));
    let store = Store::at(session.home.path().join("skiplens"));
    assert_eq!(
        (
            store.list().expect("a list").len(),
            store.list_trash().expect("a list").len()
        ),
        (1, 1)
    );
    session.type_("\x15");
    session.wait("all", |screen| screen.contains("2 sessions"));
    assert_eq!(store.list_trash().expect("a list").len(), 0);
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_session_is_replayed_without_a_model() {
    let args = ["transcript", "replay", "--screen", "--speed", "4"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the end", |screen| {
        screen.contains("The moon.") && screen.contains("at the end")
    });
    session.type_("\x1b[H");
    session.wait("the start", |screen| {
        screen.contains(" of 3 rounds") && !screen.contains("at the end")
    });
    session.type_(" ");
    session.wait("a pause", |screen| screen.contains("paused"));
    let before = std::fs::read_dir(session.home.path().join("skiplens/sessions"))
        .expect("a folder")
        .count();
    assert_eq!(before, 2, "nothing is written");
    session.type_("q");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn the_command_line_takes_precedence_over_a_resumed_session() {
    let args = ["--model", "/nowhere/model.gguf", "--resume", "-K", "7"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    let shown = |screen: &str, label: &str, value: &str| {
        screen.lines().any(|line| {
            line.split(label)
                .nth(1)
                .is_some_and(|rest| rest.trim_start().starts_with(value))
        })
    };
    // While it loads, ctrl-c would only cancel the load.
    session.wait("the settings", |screen| {
        screen.contains("could not be loaded")
            && screen.contains("The moon.")
            && shown(screen, "exit layer", "3 ")
            && shown(screen, "speculations", "7 ")
    });
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}
