//! What lies over the screen, and what can be taken back.

use super::support::Harness;
use crossterm::event::MouseEventKind;
use skiplens::app::commands::{COMMANDS, Command};
use skiplens::app::{ConfigChange, Control, Effect, Msg, Overlay, Race};
use skiplens::engine::decode::StopReason;
use skiplens::engine::worker::{Event, RunEvent, RunId};

fn help_scroll(h: &Harness) -> usize {
    match h.state().overlay {
        Some(Overlay::Help { scroll, .. }) => scroll,
        ref other => panic!("no help but {other:?}"),
    }
}

/// What the help says of commands and keys is never cut off at 80 columns.
#[test]
fn help_is_whole_at_eighty_columns() {
    let mut h = Harness::ready(80, 24);
    h.press("f1");
    let mut text = String::new();
    while h.app.shared.regions.text.first < h.app.shared.regions.text.end() {
        text.push_str(&h.screen());
        h.press("pagedown");
    }
    text.push_str(&h.screen());
    let words: Vec<&str> = text
        .split_whitespace()
        .filter(|word| !word.contains(['│', '┃']))
        .collect();
    for Command { usage, what, .. } in COMMANDS {
        let last = what.split(' ').next_back().expect("a word");
        assert!(
            text.contains(usage) && words.contains(&last),
            "{usage}: {last}"
        );
    }
}

/// At the end of the text further keys scroll no further, so that the first one back is seen.
#[test]
fn help_scrolls_within_its_text() {
    let mut h = Harness::ready(80, 24);
    h.press("f1 end");
    let end = help_scroll(&h);
    assert!(
        h.screen().contains("instructions for the model") && h.screen().contains('┃'),
        "{}",
        h.screen()
    );
    h.press("down pagedown");
    h.mouse(MouseEventKind::ScrollDown, 40, 12);
    assert_eq!(help_scroll(&h), end);
    h.press("up");
    assert_eq!(help_scroll(&h), end - 1);
    h.press("home");
    assert_eq!(help_scroll(&h), 0);
    h.press("pageup x");
    assert!(h.state().overlay.is_none(), "any other key closes");
}

fn race(h: &Harness) -> &Race {
    match &h.state().overlay {
        Some(Overlay::Race(race)) => race,
        other => panic!("no race but {other:?}"),
    }
}

/// A text longer than its window can be read to its beginning, and at its end follows on.
#[test]
fn a_race_can_be_read_from_the_beginning() {
    let mut h = Harness::ready(60, 16);
    h.ask("hi");
    h.press("f7");
    h.engine(usize::MAX);
    let first = h.app.shared.regions.text.first;
    assert!(first > 0 && h.screen().contains('┃'), "{}", h.screen());
    h.press("home");
    assert!(
        race(&h).top == Some(0) && h.screen().contains("The sky"),
        "{}",
        h.screen()
    );
    h.mouse(MouseEventKind::ScrollDown, 20, 8);
    assert_eq!(race(&h).top, Some(3.min(first)).filter(|top| *top < first));
    h.press("end");
    assert_eq!(
        (race(&h).top, h.app.shared.regions.text.first),
        (None, first)
    );
}

/// An empty list says how to fill it, and a preset that is not wanted any more goes.
#[test]
fn presets_are_saved_and_forgotten_in_their_list() {
    let mut h = Harness::ready(100, 30);
    h.press("f3 enter");
    assert!(
        h.screen().contains("none yet; type a name"),
        "{}",
        h.screen()
    );
    h.write("evening");
    assert!(h.screen().contains("enter saves"), "{}", h.screen());
    h.press("enter f3");
    assert!(h.screen().contains("E 7, K 4"), "{}", h.screen());
    h.press("delete");
    assert!(
        matches!(h.effects.last(), Some(Effect::ChangeConfig(ConfigChange::ForgetPreset(name))) if name == "evening")
    );
    assert!(matches!(&h.state().overlay, Some(Overlay::Picker(_))));
}

/// Esc undoes taking the last prompt back, as long as nothing was sent in its place.
#[test]
fn what_was_taken_off_the_chat_comes_back() {
    let mut h = Harness::ready(100, 30);
    h.ask("one");
    h.ask("two");
    let turns = h.state().turns.clone();
    h.write("draft");
    h.press("ctrl-o ctrl-o");
    assert_eq!((h.state().prompt.text(), h.state().turns.len()), ("one", 0));
    h.press("esc");
    assert_eq!(
        (h.state().prompt.text(), &h.state().turns),
        ("draft", &turns)
    );
    h.press("ctrl-l");
    assert!(
        h.state().turns.is_empty() && h.screen().contains("undoes that"),
        "{}",
        h.screen()
    );
    h.write(" of a prompt");
    h.press("esc");
    assert_eq!(
        (h.state().prompt.text(), &h.state().turns),
        ("draft of a prompt", &turns)
    );
    h.press("ctrl-u");
    h.press("ctrl-o enter");
    h.engine(usize::MAX);
    let turns = h.state().turns.clone();
    h.press("esc");
    assert_eq!(h.state().turns, turns, "what was asked since stays");
}

/// A session that is opened leaves nothing of the chat before it to come back.
#[test]
fn another_session_is_not_mixed_with_what_was_cleared() {
    let mut h = Harness::ready(100, 30);
    h.ask("one");
    let session = super::support::session_of(h.state());
    h.press("ctrl-l");
    h.send(Msg::SessionLoaded(session));
    h.press("esc");
    assert_eq!(h.state().turns.len(), 1);
}

/// A number counts when its control is left, however that is done; Esc alone drops it.
#[test]
fn a_typed_number_is_taken_when_its_control_is_left() {
    for (leave, expected) in [
        ("down", 12),
        ("tab", 12),
        ("right", 13),
        ("space", 12),
        ("esc", 7),
    ] {
        let mut h = Harness::ready(100, 30);
        h.press("tab 1 2");
        h.press(leave);
        assert_eq!(
            (h.state().settings.exit_layer, &h.state().controls.typing),
            (expected, &None),
            "{leave}"
        );
    }
    let mut h = Harness::ready(100, 30);
    h.press("tab 1 2");
    let row = h.find(&skiplens::app::Target::Control(Control::Seed));
    h.click(row.x, row.y);
    assert_eq!(
        (h.state().settings.exit_layer, h.state().controls.focused),
        (12, Control::Seed)
    );
}

#[test]
fn a_number_out_of_range_says_what_the_range_is() {
    let mut h = Harness::ready(100, 30);
    h.press("tab 9 9 enter");
    assert!(
        h.screen().contains("exit layer ranges from 1 to 29"),
        "{}",
        h.screen()
    );
    assert_eq!(h.state().settings.exit_layer, 29);
}

/// What was changed without looking is told, and undone without looking.
#[test]
fn a_change_from_the_prompt_is_told_and_undone_there() {
    let mut h = Harness::ready(80, 24);
    h.press("alt-right");
    assert!(h.screen().contains("exit layer 8"), "{}", h.screen());
    h.press("alt-u");
    assert_eq!(h.state().settings.exit_layer, 7);
    h.press("alt-u");
    assert!(h.screen().contains("nothing to undo"), "{}", h.screen());
}

/// Nothing that matters is cut off where there is little room.
#[test]
fn why_an_answer_ended_is_always_readable() {
    let mut h = Harness::ready(80, 24);
    h.write("hi");
    h.press("enter");
    h.engine(60);
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Finished {
            reason: StopReason::MaxSteps,
            stats: Default::default(),
        },
    )));
    assert!(h.screen().contains("max tokens reached"), "{}", h.screen());
    h.press("f8");
    assert!(
        h.screen()
            .lines()
            .next()
            .expect("a header")
            .contains("SmolLM2-135M-L"),
        "{}",
        h.screen()
    );
}

#[test]
fn a_name_without_room_ends_in_an_ellipsis() {
    let mut h = Harness::starting(72, 24, Default::default());
    let mut model = super::support::model();
    model.name = "A-model-with-a-name-that-takes-more-room-than-there-is".into();
    h.send(Msg::Engine(super::support::loaded_as(model)));
    assert!(
        h.screen().lines().next().expect("a header").contains('…'),
        "{}",
        h.screen()
    );
}

/// The token that ends an answer has no text, and says so.
#[test]
fn the_end_of_an_answer_is_named() {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    let turn = h.state_mut().turns.last_mut().expect("a turn");
    let round = turn.rounds.last_mut().expect("a round");
    round.stop = Some(StopReason::Eos);
    let closing = round.tokens_mut().closing.as_mut();
    closing.expect("a token").text.clear();
    h.press("tab tab");
    assert!(h.screen().contains("end of the answer"), "{}", h.screen());
}

/// Nothing turns while nothing happens.
#[test]
fn a_paused_run_stands_still() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("f5");
    h.engine(9);
    h.tick(60_000);
    let before = h.screen();
    h.tick(60_100);
    h.tick(60_250);
    assert_eq!(h.screen(), before);
}
