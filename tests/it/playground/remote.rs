//! The playground on the engine of a server: a broken connection, and requests of others.

use super::support::{Harness, round, words_of};
use skiplens::app::{Link, Msg, Options, Phase, Remote};
use skiplens::engine::ErrorKind;
use skiplens::engine::decode::{Settings, StopReason, Strategy};
use skiplens::engine::worker::{Command, Event, Failure, RunEvent};
use skiplens::remote::{Said, Watched};

fn connected(watches: bool) -> Harness {
    let options = Options {
        remote: Some(Remote::new("far:8080".into(), watches)),
        ..Options::default()
    };
    Harness::starting(110, 34, options)
}

fn lose(harness: &mut Harness) {
    let run = harness.state().run().expect("a run").id;
    let failure = Failure {
        kind: ErrorKind::Machine,
        message: "interrupted: the connection to far:8080 was lost".into(),
    };
    harness.send(Msg::Engine(Event::Run(run, RunEvent::Failed(failure))));
    harness.send(Msg::Link(Link::Lost(
        "no connection; connecting again".into(),
    )));
}

#[test]
fn a_lost_connection_keeps_the_text_and_the_chat_goes_on() {
    let mut harness = connected(false);
    harness.send(Msg::Engine(super::support::loaded()));
    harness.write("Tell me something");
    harness.press("enter");
    harness.engine(12);
    let text = harness.state().turns[0].answer();
    assert!(!text.is_empty());
    lose(&mut harness);
    let screen = harness.screen();
    assert!(screen.contains("no connection"), "{screen}");
    assert!(screen.contains("interrupted"), "{screen}");
    assert_eq!(harness.state().turns[0].answer(), text);
    // What is sent meanwhile waits for the connection.
    harness.write("Go on");
    harness.press("enter");
    assert!(harness.state().send_when_loaded);
    harness.send(Msg::Link(Link::Restored));
    assert!(harness.screen().contains("connected to far:8080 again"));
    harness.send(Msg::Engine(super::support::loaded()));
    let Some(Command::Start { task, .. }) = harness.commands.last() else {
        panic!("{:?}", harness.commands.last());
    };
    let sent = format!("{task:?}");
    assert!(
        sent.contains("Go on") && sent.contains(text.trim()),
        "{sent}"
    );
}

#[test]
fn a_connection_that_was_given_up_is_made_again_by_a_key() {
    let mut harness = connected(false);
    harness.send(Msg::Link(Link::GivenUp(
        "far:8080 refuses this API key".into(),
    )));
    let screen = harness.screen();
    assert!(screen.contains("refuses this API key"), "{screen}");
    assert!(screen.contains("try again"), "{screen}");
    harness.press("enter");
    assert!(matches!(harness.commands.last(), Some(Command::Load(_))));
    assert!(matches!(harness.state().phase, Phase::Loading { .. }));
}

fn watched(harness: &mut Harness, request: u64, said: Said) {
    harness.send(Msg::Watched { request, said });
}

fn begin(harness: &mut Harness, request: u64, prompt: &str) {
    let begun = Said::Begun(Watched {
        client: "http".into(),
        prompt: prompt.into(),
        chat: true,
        model: "far model".into(),
    });
    watched(harness, request, begun);
}

#[test]
fn requests_of_others_are_shown_and_nothing_can_be_asked() {
    let mut harness = connected(true);
    for (request, prompt) in [(3, "Why is the sky blue?"), (4, "And the sea?")] {
        begin(&mut harness, request, prompt);
    }
    let words = words_of("Because of Rayleigh.");
    let plain = Settings {
        strategy: Strategy::Autoregressive,
        ..Settings::default()
    };
    // Both are decoded at the same time.
    for (at, word) in words.iter().enumerate() {
        for request in [3, 4] {
            let words = std::slice::from_ref(word);
            let round = round(at, 0, &plain, words);
            watched(&mut harness, request, Said::Round(Box::new(round)));
        }
    }
    // Its beginning was missed.
    watched(&mut harness, 9, Said::Ended(StopReason::Eos));
    watched(&mut harness, 3, Said::Ended(StopReason::Eos));
    watched(&mut harness, 4, Said::Failed("the client has left".into()));
    let screen = harness.screen();
    for part in [
        "Why is the sky blue?",
        "And the sea?",
        "Rayleigh",
        "the client has left",
    ] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    let answers: Vec<String> = harness
        .state()
        .turns
        .iter()
        .map(|turn| turn.answer())
        .collect();
    assert_eq!(answers, ["Because of Rayleigh."; 2]);
    harness.write("Me too");
    harness.press("enter");
    assert!(harness.screen().contains("watching is read-only"));
    harness.ask_command("/race");
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    // A long day of others does not fill the memory.
    for request in 10..400 {
        begin(&mut harness, request, "again");
    }
    assert!(harness.state().turns.len() <= 200);
}
