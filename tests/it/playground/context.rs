//! How much of the context is used, and what happens when a conversation no longer fits.

use super::screens::snapshot;
use super::support::{Harness, session_of};
use skiplens::app::{Config, Msg, Options, Overflow, Overlay, Pane, Phase};
use skiplens::engine::decode::StopReason;
use skiplens::engine::prompt::{Message, Prompt, Role};
use skiplens::engine::worker::{Command, Event, RunEvent, Task};
use std::sync::Arc;

const UNSEEN: &str = "the model no longer sees what is above";

fn asking() -> Harness {
    let config = Config {
        overflow: Overflow::Ask,
        ..Config::default()
    };
    let options = Options {
        config,
        ..Options::default()
    };
    let mut h = Harness::starting(100, 30, options);
    h.send(Msg::Engine(super::support::loaded()));
    h
}

/// The messages of the last question that was sent.
fn sent(h: &Harness) -> Vec<Message> {
    match h.commands.last() {
        Some(Command::Start {
            task:
                Task::Generate(Prompt::Chat(messages)) | Task::GenerateWhole(Prompt::Chat(messages)),
            ..
        }) => messages.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_meter_counts_the_tokens_in_the_context() {
    let mut h = Harness::ready(100, 30);
    assert!(!h.screen().contains("context"), "nothing is in it yet");
    h.write("hi");
    h.press("enter");
    h.engine(2);
    assert!(h.screen().contains("context 24 of 8192"), "{}", h.screen());
    h.engine(usize::MAX);
    let last = h.state().turns[0].rounds.last().unwrap();
    let used = last.position + last.len();
    assert_eq!(h.state().context_used(), Some(used));
    assert!(
        h.screen().contains(&format!("context {used} of 8192")),
        "{}",
        h.screen()
    );
}

#[test]
fn turns_that_the_model_no_longer_sees_stay_and_are_marked() {
    let mut h = Harness::ready(100, 60);
    for question in ["one", "two", "three"] {
        h.ask(question);
    }
    assert!(!h.screen().contains(UNSEEN));
    h.fake.overflow = 2;
    h.ask("four");
    assert_eq!(sent(&h).len(), 7, "the worker decides what fits");
    let unseen: Vec<bool> = h.state().turns.iter().map(|turn| turn.unseen).collect();
    assert_eq!(unseen, [true, false, false, false]);
    h.press("tab tab g");
    assert!(
        h.screen().contains("one") && h.screen().contains(UNSEEN),
        "{}",
        h.screen()
    );
    h.press("f7");
    let Some(Command::Start {
        task: Task::Race {
            prompt: Prompt::Chat(messages),
            ..
        },
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    assert_eq!(messages.len(), 5, "a race is run on what the model sees");
}

/// A resumed session and a replay mark the same turns.
#[test]
fn the_marks_come_back_with_the_session() {
    let mut h = Harness::ready(100, 60);
    h.ask("one");
    h.ask("two");
    let mut session = Arc::unwrap_or_clone(session_of(h.state()));
    session.turns[3].runs[0].dropped = 2;
    h.send(Msg::SessionLoaded(Arc::new(session.clone())));
    assert!(h.state().turns[0].unseen && !h.state().turns[1].unseen);
    h.send(Msg::ReplayLoaded(Arc::new(session)));
    h.press("end");
    assert!(h.state().turns[0].unseen && !h.state().turns[1].unseen);
    assert!(h.screen().contains(UNSEEN), "{}", h.screen());
    h.press("home");
    assert!(!h.screen().contains(UNSEEN), "{}", h.screen());
}

#[test]
fn the_user_is_asked_before_turns_are_left_out() {
    let mut h = asking();
    h.ask("one");
    h.fake.overflow = 2;
    h.ask("two");
    assert!(matches!(h.state().overlay, Some(Overlay::Picker(_))));
    assert!(
        h.screen().contains("no longer fits") && !h.screen().contains("shorten"),
        "{}",
        h.screen()
    );
    h.press("enter");
    h.engine(usize::MAX);
    assert!(h.state().turns[0].unseen && !h.state().turns[1].is_empty());
    assert_eq!(h.state().turns.len(), 2);
    h.ask("three");
    assert!(h.state().overlay.is_none(), "asked once for each chat");
    assert!(!h.state().turns[2].is_empty());
}

#[test]
fn a_question_that_no_longer_fits_can_start_a_new_chat_or_be_edited() {
    let mut h = asking();
    h.ask("one");
    h.fake.overflow = 2;
    h.ask("two");
    h.press("down down enter");
    assert_eq!((h.state().prompt.text(), h.state().turns.len()), ("two", 1));
    h.press("enter");
    h.engine(usize::MAX);
    h.press("down");
    h.fake.overflow = 0;
    h.press("enter");
    assert_eq!(sent(&h).len(), 1);
    assert_eq!(sent(&h)[0].content, "two");
    h.engine(usize::MAX);
    assert_eq!((h.state().turns.len(), h.state().focus), (1, Pane::Prompt));
}

/// Where nothing can be left out, the error itself is shown.
#[test]
fn a_first_question_that_does_not_fit_is_an_error() {
    let mut h = asking();
    h.fake.overflow = 2;
    h.ask("one");
    assert!(h.state().overlay.is_none());
    assert!(h.screen().contains("it is full"), "{}", h.screen());
}

#[test]
fn an_answer_that_fills_the_context_ends_with_the_reason() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    let run = h.state().run().expect("a run").id;
    let (reason, stats) = (StopReason::ContextFull, Default::default());
    h.send(Msg::Engine(Event::Run(
        run,
        RunEvent::Finished { reason, stats },
    )));
    assert_eq!(h.state().phase, Phase::Idle);
    let screen = h.screen();
    assert!(
        screen.contains("the context is full") && screen.contains("/continue"),
        "{screen}"
    );
    assert_eq!(
        sent(&h).last().map(|message| message.role),
        Some(Role::User)
    );
}

#[test]
fn pictures_of_a_full_context() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = Harness::ready(width, height);
        h.ask("Why is the sky blue?");
        h.fake.overflow = 2;
        h.fake.words = Some(super::support::words_of(
            "It turns red, since the light has a longer way.",
        ));
        h.ask("And at sunset?");
        h.tick(60_000);
        h.press("tab tab g");
        snapshot(&format!("context-{width}x{height}"), &h);
    }
}
