//! Questions that wait for the answer under way.

use super::screens::snapshot;
use super::support::{Harness, session_of};
use skiplens::app::{Effect, Msg};
use skiplens::engine::worker::{Event, Failure, RunEvent};
use skiplens::transcript::Entry;

/// A harness whose first answer is being written.
fn writing(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.write("one");
    h.press("enter");
    h.engine(10);
    h
}

fn prompts(h: &Harness) -> Vec<&str> {
    h.state()
        .turns
        .iter()
        .map(|turn| turn.prompt.as_str())
        .collect()
}

#[test]
fn a_question_is_sent_when_the_answer_ends() {
    let mut h = writing(100, 30);
    h.write("two");
    h.press("enter");
    assert_eq!(prompts(&h), ["one"]);
    assert!(h.screen().contains("queued: two"), "{}", h.screen());
    h.write("three");
    h.press("enter");
    h.engine(usize::MAX);
    assert_eq!(prompts(&h), ["one", "two", "three"]);
    assert!(h.state().turns.iter().all(|turn| !turn.is_empty()));
    assert!(h.state().queued.is_empty() && !h.screen().contains("queued: "));
}

#[test]
fn a_queued_question_is_edited_and_removed() {
    let mut h = writing(100, 30);
    h.write("two");
    h.press("enter");
    h.write("unfinished");
    h.press("alt-e");
    assert_eq!(h.state().prompt.text(), "two");
    assert_eq!(h.state().queued, ["unfinished"], "nothing written is lost");
    h.press("alt-d");
    assert!(h.state().queued.is_empty());
    h.write(" and a half");
    h.press("enter");
    h.engine(usize::MAX);
    assert_eq!(prompts(&h), ["one", "two and a half"]);
    h.press("up up");
    assert_eq!(
        h.state().prompt.text(),
        "unfinished",
        "it is in the history"
    );
}

/// After an error, or when the user has cancelled, the queue waits for a word of the user.
#[test]
fn nothing_is_sent_after_an_error_or_a_cancelled_answer() {
    for fails in [true, false] {
        let mut h = writing(100, 30);
        h.write("two");
        h.press("enter");
        let run = h.state().run().expect("a run").id;
        match fails {
            true => h.send(Msg::Engine(Event::Run(
                run,
                RunEvent::Failed(Failure::internal("broken")),
            ))),
            false => h.press("esc"),
        }
        if !fails {
            h.engine(usize::MAX);
        }
        assert_eq!(prompts(&h), ["one"]);
        assert!(h.screen().contains("queued: two"), "{}", h.screen());
        h.press("enter");
        h.engine(usize::MAX);
        assert_eq!(prompts(&h), ["one", "two"], "{fails}");
    }
}

#[test]
fn the_journal_holds_the_queue_and_a_resumed_session_has_it() {
    let mut h = writing(100, 30);
    h.write("two");
    h.press("enter");
    let recorded = Effect::Record(Entry::Queued(vec!["two".into()]));
    assert!(h.effects.contains(&recorded));
    let session = session_of(h.state());
    let mut again = Harness::ready(100, 30);
    again.send(Msg::SessionLoaded(session));
    assert_eq!(again.state().queued, ["two"]);
    assert!(again.state().run().is_none(), "nothing is sent unasked");
    again.press("enter");
    again.engine(usize::MAX);
    assert_eq!(prompts(&again), ["one", "two"]);
    assert_eq!(
        again.effects.last(),
        Some(&Effect::Record(Entry::Queued(vec![])))
    );
}

#[test]
fn pictures_of_a_queue() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = writing(width, height);
        for question in [
            "And at sunset, when the light has a longer way through the air?",
            "two",
            "three",
            "four",
        ] {
            h.write(question);
            h.press("enter");
        }
        h.write("being written");
        h.tick(60_000);
        snapshot(&format!("queue-{width}x{height}"), &h);
    }
}

/// A notice goes with what it speaks of: the question in the queue, the running answer, the cleared chat.
#[test]
fn a_notice_goes_with_what_it_speaks_of() {
    let footer = |h: &Harness| h.screen().lines().last().expect("a footer").to_owned();
    let mut h = writing(100, 30);
    h.write("two");
    h.press("enter");
    assert!(footer(&h).contains("this is sent"), "{}", footer(&h));
    h.press("alt-e");
    assert!(!footer(&h).contains("this is sent"), "{}", footer(&h));
    h.press("enter");
    assert!(footer(&h).contains("this is sent"), "{}", footer(&h));
    h.engine(usize::MAX);
    assert_eq!(prompts(&h), ["one", "two"]);
    assert!(!footer(&h).contains("this is sent"), "{}", footer(&h));

    let mut h = writing(100, 30);
    h.ask_command("/retry");
    assert!(footer(&h).contains("being written"), "{}", footer(&h));
    h.engine(usize::MAX);
    assert!(!footer(&h).contains("being written"), "{}", footer(&h));

    h.press("ctrl-u ctrl-l");
    assert!(footer(&h).contains("chat cleared"), "{}", footer(&h));
    h.press("esc");
    assert_eq!(prompts(&h), ["one"]);
    assert!(!footer(&h).contains("chat cleared"), "{}", footer(&h));

    let mut h = Harness::starting(100, 30, skiplens::app::Options::default());
    h.write("two");
    h.press("enter");
    assert!(footer(&h).contains("sent once"), "{}", footer(&h));
    h.press("esc");
    assert!(!footer(&h).contains("sent once"), "{}", footer(&h));
    h.ask_command("/retry");
    h.send(Msg::Engine(super::support::loaded()));
    assert!(!footer(&h).contains("still loading"), "{}", footer(&h));
}
