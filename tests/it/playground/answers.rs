//! Several answers to one prompt.

use super::screens::snapshot;
use super::support::{Harness, answer, session_of, words_of};
use skiplens::app::{Effect, Msg, Target};
use skiplens::engine::prompt::Prompt;
use skiplens::engine::worker::{Command, Task};

/// A harness with three answers to one question.
fn three(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.ask("Why is the sky blue?");
    for text in ["Because of the light.", "It only looks so."] {
        h.fake.words = Some(words_of(text));
        h.press("ctrl-r");
        h.engine(usize::MAX);
    }
    h
}

fn shown(h: &Harness) -> String {
    h.state().turns.last().expect("a turn").answer()
}

#[test]
fn regenerating_keeps_the_answer_before() {
    let mut h = three(100, 30);
    assert_eq!(h.state().turns.len(), 1);
    assert!(h.effects.contains(&Effect::KeepAnswer));
    assert!(
        h.screen().contains("3/3") && shown(&h) == "It only looks so.",
        "{}",
        h.screen()
    );
    h.press("alt-p");
    assert!(
        h.screen().contains("2/3") && shown(&h) == "Because of the light.",
        "{}",
        h.screen()
    );
    h.press("tab tab [");
    assert!(
        h.screen().contains("1/3") && shown(&h) == answer().concat(),
        "{}",
        h.screen()
    );
    h.press("[");
    assert!(h.screen().contains("3/3"), "around the end");
    h.press("]");
    let mark = h.find(&Target::Answers { turn: 0 });
    h.click(mark.x, mark.y);
    assert!(h.screen().contains("2/3"), "{}", h.screen());
}

#[test]
fn the_chat_continues_with_the_answer_that_is_shown() {
    let mut h = three(100, 30);
    h.press("alt-p");
    assert!(
        matches!(h.effects.last(), Some(Effect::ShowAnswers(Prompt::Chat(messages)))
        if messages.last().is_some_and(|message| message.content == "Because of the light."))
    );
    h.ask("Really?");
    let Some(Command::Start {
        task: Task::Generate(Prompt::Chat(messages)),
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    assert_eq!(messages[1].content, "Because of the light.");
    h.press("alt-n");
    assert_eq!(
        h.state().turns[0].variant,
        2,
        "the last turn has one answer only"
    );
}

#[test]
fn an_answer_without_text_is_not_kept() {
    let mut h = three(100, 30);
    h.press("ctrl-r");
    h.press("esc");
    h.engine(usize::MAX);
    assert_eq!(h.state().turns[0].answers(), 4);
    h.press("alt-p");
    assert_eq!(
        (h.state().turns[0].variant, h.state().turns[0].answers()),
        (2, 3)
    );
    h.press("ctrl-r esc ctrl-r");
    h.engine(usize::MAX);
    assert_eq!(
        (h.state().turns[0].variant, h.state().turns[0].answers()),
        (3, 4)
    );
}

#[test]
fn a_resumed_session_has_all_answers() {
    let mut h = three(100, 30);
    h.press("alt-p");
    let session = session_of(h.state());
    let mut again = Harness::ready(100, 30);
    again.send(Msg::SessionLoaded(session));
    assert!(again.screen().contains("2/3"), "{}", again.screen());
    for text in [
        "It only looks so.",
        &answer().concat(),
        "Because of the light.",
    ] {
        again.press("alt-n");
        assert_eq!(shown(&again), text);
    }
}

#[test]
fn pictures_of_several_answers() {
    for (width, height) in [(80, 24), (160, 50)] {
        let mut h = three(width, height);
        h.tick(60_000);
        h.press("alt-p tab tab");
        snapshot(&format!("answers-{width}x{height}"), &h);
    }
}
