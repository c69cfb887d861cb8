//! The playground on the engine of a server: a broken connection, and requests of others.

use super::support::{Harness, round, words_of};
use skiplens::app::{Link, Msg, Options, Overlay, Pane, Phase, Remote};
use skiplens::engine::ErrorKind;
use skiplens::engine::decode::{Settings, StopReason, Strategy};
use skiplens::engine::worker::{Command, Event, Failure, ModelEvent, RunEvent};
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
        message: "the connection to far:8080 was lost".into(),
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
    assert!(
        screen.contains("the connection to far:8080 was lost"),
        "{screen}"
    );
    assert_eq!(harness.state().turns[0].answer(), text);
    // What is sent meanwhile waits for the connection.
    harness.write("Go on");
    harness.press("enter");
    assert!(harness.state().send_when_loaded);
    let screen = harness.screen();
    assert!(
        screen.contains("sent once the engine is connected"),
        "{screen}"
    );
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

/// Nothing is loading while the connection is lost, so Esc cancels nothing, and the client connects again.
#[test]
fn esc_does_not_end_a_reconnection() {
    let mut harness = connected(false);
    harness.send(Msg::Engine(super::support::loaded()));
    harness.send(Msg::Link(Link::Lost(
        "no connection; connecting again".into(),
    )));
    harness.press("esc esc");
    harness.send(Msg::Link(Link::Restored));
    harness.send(Msg::Engine(super::support::loaded()));
    harness.write("Hello");
    harness.press("enter");
    assert!(harness.state().prompt.text().is_empty());
    harness.engine(12);
    assert!(!harness.state().turns[0].answer().is_empty());
}

/// A prompt that waits for the engine and is edited then is not sent by itself.
#[test]
fn an_edited_prompt_does_not_wait_any_more() {
    let mut harness = connected(false);
    harness.send(Msg::Engine(super::support::loaded()));
    harness.send(Msg::Link(Link::Lost(
        "no connection; connecting again".into(),
    )));
    harness.write("Tell me something");
    harness.press("enter");
    assert!(harness.state().send_when_loaded);
    harness.write(" else");
    assert!(!harness.state().send_when_loaded);
    assert!(
        harness.screen().contains("the prompt has changed"),
        "{}",
        harness.screen()
    );
    harness.send(Msg::Link(Link::Restored));
    harness.send(Msg::Engine(super::support::loaded()));
    assert_eq!(harness.state().prompt.text(), "Tell me something else");
}

/// The same for a prompt recalled in its place.
#[test]
fn a_recalled_prompt_is_not_sent_in_place_of_the_one_that_waits() {
    let mut harness = connected(false);
    harness.send(Msg::Engine(super::support::loaded()));
    harness.write("First");
    harness.press("enter");
    harness.engine(usize::MAX);
    let asked = harness.commands.len();
    harness.send(Msg::Link(Link::Lost(
        "no connection; connecting again".into(),
    )));
    harness.write("Second");
    harness.press("enter up");
    assert_ne!(harness.state().prompt.text(), "Second");
    harness.send(Msg::Link(Link::Restored));
    harness.send(Msg::Engine(super::support::loaded()));
    assert_eq!(harness.commands.len(), asked);
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

/// A request that a model of so many layers answers.
fn request(prompt: &str, num_layers: usize) -> Watched {
    let mut model = super::support::model();
    model.name = format!("far model of {num_layers}");
    model.config.num_layers = num_layers;
    Watched {
        client: "http".into(),
        prompt: prompt.into(),
        chat: true,
        model: Box::new(model),
    }
}

fn begin(harness: &mut Harness, number: u64, prompt: &str) {
    watched(harness, number, Said::Begun(request(prompt, 12)));
}

/// Words of the answer to a request, each a round.
fn answer(harness: &mut Harness, number: u64, at: usize, text: &str) {
    let plain = Settings {
        strategy: Strategy::Autoregressive,
        ..Settings::default()
    };
    for (offset, word) in words_of(text).iter().enumerate() {
        let words = std::slice::from_ref(word);
        let round = round(at + offset, 0, &plain, words);
        watched(harness, number, Said::Round(Box::new(round)));
    }
}

#[test]
fn requests_of_others_are_shown_and_nothing_can_be_asked() {
    let mut harness = connected(true);
    for (request, prompt) in [(3, "Why is the sky blue?"), (4, "And the sea?")] {
        begin(&mut harness, request, prompt);
    }
    // Both are decoded at the same time.
    for (at, said) in [(0, "Because of"), (9, " Rayleigh.")] {
        for request in [3, 4] {
            answer(&mut harness, request, at, said);
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
    assert!(screen.contains("read-only"), "{screen}");
    for invitation in ["ask something", "Ask something", "/?"] {
        assert!(!screen.contains(invitation), "{invitation}:\n{screen}");
    }
    harness.write("Me too");
    harness.send(Msg::Paste("and me".into()));
    harness.press("enter");
    assert!(harness.screen().contains("watching is read-only"));
    assert!(harness.state().prompt.is_empty());
    harness.press("f7 ctrl-r f4");
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    harness.press("esc esc");
    // Panels and tokens are looked at as in a chat.
    let panes: Vec<_> = (0..3)
        .map(|_| {
            harness.press("tab");
            harness.state().focus
        })
        .collect();
    assert_eq!(panes, [Pane::Rounds, Pane::Controls, Pane::Chat]);
    harness.press("left");
    assert!(harness.state().view.cursor.is_some());
    // A long day of others does not fill the memory.
    for request in 10..400 {
        begin(&mut harness, request, "again");
    }
    assert!(harness.state().turns.len() <= 200);
}

/// Before anything is asked, the screen says what it is for and which keys do something.
#[test]
fn an_idle_watcher_is_not_asked_for_a_question() {
    let mut harness = connected(true);
    for (width, height) in [(80, 24), (160, 50)] {
        harness.resize(width, height);
        let screen = harness.screen();
        assert!(screen.contains("Watching, read-only."), "{screen}");
        assert!(screen.contains("watching far:8080"), "{screen}");
        assert!(screen.contains("q quit"), "{screen}");
        for invitation in ["sk something", "send", "/?"] {
            assert!(!screen.contains(invitation), "{invitation}:\n{screen}");
        }
    }
    // A connection that was given up is made again by Enter.
    harness.send(Msg::Link(Link::GivenUp("far:8080 has left".into())));
    assert!(
        harness.screen().contains("try again"),
        "{}",
        harness.screen()
    );
    harness.press("enter");
    assert!(matches!(harness.commands.last(), Some(Command::Load(_))));
    harness.send(Msg::Link(Link::Restored));
    assert_eq!(harness.state().focus, Pane::Chat);
}

/// Clients of a server may use different models: header and controls show the one that is decoding.
#[test]
fn the_model_that_answers_a_watched_request_is_shown() {
    let mut harness = connected(true);
    harness.send(Msg::Engine(super::support::loaded()));
    assert!(
        harness.screen().contains("30 layers"),
        "{}",
        harness.screen()
    );
    for (number, layers) in [(1, 12), (2, 16)] {
        let begun = Said::Begun(request("Why?", layers));
        watched(&mut harness, number, begun);
        let screen = harness.screen();
        assert!(screen.contains(&format!("{layers} layers")), "{screen}");
    }
    answer(&mut harness, 1, 0, "Because");
    let screen = harness.screen();
    assert!(
        screen.contains("far model of 12") && screen.contains("12 layers"),
        "{screen}"
    );
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
}

/// A watcher's figures rest on what it has seen, not on the model that the server has after it was restarted.
#[test]
fn speed_ups_of_watched_answers_outlive_the_connection() {
    let mut harness = connected(true);
    harness.send(Msg::Engine(super::support::loaded()));
    let speed_ups = |harness: &Harness| {
        let screen = harness.screen();
        let words = screen.split_whitespace().collect::<Vec<_>>();
        let times = words.windows(2);
        let times = times.filter(|pair| pair[0].ends_with('×') && pair[1].starts_with("plain"));
        times.map(|pair| pair[0].to_owned()).collect::<Vec<_>>()
    };
    let drafts = Settings {
        exit_layer: 4,
        num_speculations: 2,
        ..Settings::default()
    };
    // Each by a model of its own, neither of which is the server's.
    for (number, layers) in [(1, 12), (2, 16)] {
        watched(&mut harness, number, Said::Begun(request("Why?", layers)));
        let words = words_of(&"Because of it. ".repeat(20));
        let mut at = 0;
        while at < words.len() {
            let round = round(at, at, &drafts, &words);
            at += round.len();
            watched(&mut harness, number, Said::Round(Box::new(round)));
        }
        watched(&mut harness, number, Said::Ended(StopReason::Eos));
    }
    let before = speed_ups(&harness);
    assert!(before.len() >= 2, "{}", harness.screen());
    for link in [
        Link::Lost("no connection; connecting again".into()),
        Link::GivenUp("far:8080 refuses this API key".into()),
        Link::Restored,
    ] {
        let lost = link != Link::Restored;
        harness.send(Msg::Link(link));
        if !lost {
            harness.send(Msg::Engine(super::support::loaded()));
        }
        assert_eq!(speed_ups(&harness), before, "{}", harness.screen());
    }
}

/// What is missed leaves a mark, and no turn stays open for ever.
#[test]
fn missed_reports_leave_no_request_open() {
    let mut harness = connected(true);
    for (number, prompt) in [(1, "First?"), (2, "Second?")] {
        begin(&mut harness, number, prompt);
        answer(&mut harness, number, 0, "Well");
    }
    // The first has ended meanwhile, the second goes on, and a third has begun.
    let open = vec![(2, request("Second?", 12)), (3, request("Third?", 12))];
    let reports = 2000;
    harness.send(Msg::Missed { reports, open });
    assert!(harness.screen().contains("2000 reports were left out"));
    answer(&mut harness, 2, 9, " then");
    answer(&mut harness, 3, 0, "Yes");
    for number in [2, 3] {
        watched(&mut harness, number, Said::Ended(StopReason::Eos));
    }
    let turns = &harness.state().turns;
    let answers: Vec<String> = turns.iter().map(|turn| turn.answer()).collect();
    assert_eq!(answers, ["Well", "Well then", "Yes"]);
    assert!(turns.iter().all(|turn| turn.outcome.is_some()));
    let screen = harness.screen();
    assert!(screen.contains("its end was missed"), "{screen}");
    assert!(screen.contains("‹rounds\u{a0}missed›"), "{screen}");
}

/// A session that a remote engine answered is of the same model as its file on this machine.
#[test]
fn a_session_of_a_remote_engine_goes_on_with_the_same_file_here() {
    let loaded = |path: &str, device: &str| {
        let mut info = super::support::model();
        (info.path, info.device) = (path.into(), device.into());
        Msg::Engine(Event::Model(ModelEvent::Loaded {
            info: Box::new(info),
            fingerprint: Some("ends:1".into()),
        }))
    };
    let mut harness = connected(false);
    harness.send(loaded("far:8080:/models/m.gguf", "cpu×8 at far:8080"));
    harness.ask("Why is the sky blue?");
    let session = super::support::session_of(harness.state());
    let mut here = Harness::starting(110, 34, Options::default());
    here.send(loaded("/home/me/m.gguf", "cpu×2"));
    here.send(Msg::SessionLoaded(session));
    here.press("f4");
    assert!(matches!(here.state().overlay, Some(Overlay::WhatIf(_))));
    here.press("esc");
    here.ask("Go on");
    let screen = here.screen();
    assert!(!screen.contains("‹model"), "{screen}");
}
