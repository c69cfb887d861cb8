//! A kept session played on the screen.

use super::support::{Harness, Shelf, loaded, said, session_of};
use crossterm::event::{MouseButton, MouseEventKind};
use skiplens::app::input::action::{AppAction, ChatAction};
use skiplens::app::state::player::Course;
use skiplens::app::{Action, Effect, Msg, Options, Pane, Phase, Target, Turn};
use skiplens::engine::worker::{Command, Event, Failure, ModelEvent, Task};

/// A chat of two answers, and its session playing over another chat.
fn playing() -> (Harness, Vec<Turn>) {
    let mut h = Harness::ready(100, 30);
    h.ask("Why is the sky blue?");
    h.press("alt-right");
    h.ask("And at sunset?");
    let (session, turns) = (session_of(h.state()), h.state().turns.clone());
    let mut h = Harness::ready(100, 30);
    h.ask("Another chat");
    h.send(Msg::ReplayLoaded(session));
    (h, turns)
}

/// Turns without what belongs to the program that runs: their numbers.
fn plain(turns: &[Turn]) -> Vec<Turn> {
    turns
        .iter()
        .map(|turn| Turn {
            id: 0,
            run: None,
            lens: None,
            ..turn.clone()
        })
        .collect()
}

fn course(h: &Harness) -> Course {
    h.app.player().expect("a replay").course()
}

fn progress(h: &Harness) -> (usize, usize) {
    h.app.player().expect("a replay").progress()
}

#[test]
fn time_plays_it_and_the_end_is_what_was_recorded() {
    let (mut h, turns) = playing();
    let mut seen = Vec::new();
    for tick in 0..400 {
        h.tick(1000 + tick * 50);
        seen.push(progress(&h).0);
        if course(&h) == Course::Over {
            break;
        }
    }
    assert!(seen.is_sorted() && seen.len() > 10, "{seen:?}");
    assert_eq!(plain(&h.state().turns), plain(&turns));
    assert_eq!(h.state().phase, Phase::Idle);
    assert!(h.screen().contains("at the end"), "{}", h.screen());
    h.press("space");
    assert_eq!(
        (course(&h), progress(&h).0),
        (Course::Playing, 0),
        "again from the start"
    );
}

#[test]
fn leaving_brings_back_the_chat_as_it_was() {
    let mut h = Harness::ready(100, 30);
    h.ask("A chat");
    h.write("half a prom");
    h.press("tab tab left");
    let before = h.app.clone();
    h.send(Msg::ReplayLoaded(said("Old", 1)));
    assert!(h.screen().contains("replay · Old"), "{}", h.screen());
    h.press("end ctrl-t tab tab left pageup");
    h.press("esc esc");
    assert_eq!(h.app.chat, before.chat);
    assert_ne!(
        h.app.shared.appearance, before.shared.appearance,
        "a theme chosen meanwhile stays"
    );
    assert!(
        h.app.player().is_none() && h.commands.len() == 1,
        "the engine heard nothing of it"
    );
}

#[test]
fn pausing_stepping_and_scrubbing() {
    let (mut h, turns) = playing();
    h.press("space");
    assert_eq!(course(&h), Course::Paused);
    h.tick(90_000);
    assert_eq!(progress(&h).0, 0, "time stands still");
    h.press("s s enter");
    assert_eq!(progress(&h).0, 3);
    assert!(
        matches!(h.state().phase, Phase::Paused { .. }) && h.screen().contains("paused"),
        "{}",
        h.screen()
    );
    assert_eq!(h.state().turns[0].rounds[..], turns[0].rounds[..3]);
    h.press("shift-right right left left");
    assert_eq!(progress(&h).0, 12);
    h.press("home");
    assert!(progress(&h).0 == 0 && h.state().turns.is_empty());
    h.press("end");
    assert_eq!(course(&h), Course::Over);
    assert_eq!(plain(&h.state().turns), plain(&turns));
    h.press("left");
    assert_eq!(progress(&h).0, progress(&h).1 - 1);
    let track = h.find(&Target::Scrub);
    h.mouse(MouseEventKind::Down(MouseButton::Left), track.x, track.y);
    assert_eq!(progress(&h).0, 0);
    h.mouse(
        MouseEventKind::Drag(MouseButton::Left),
        track.x + track.width / 2,
        track.y + 3,
    );
    let half = progress(&h);
    assert!(half.0 > half.1 / 3 && half.0 < half.1 * 2 / 3, "{half:?}");
    h.mouse(MouseEventKind::Up(MouseButton::Left), 0, 0);
    h.mouse(MouseEventKind::Drag(MouseButton::Left), track.x, track.y);
    assert_eq!(progress(&h), half, "the track is let go");
}

#[test]
fn speeds_are_chosen() {
    let (mut h, _) = playing();
    let speed = |h: &Harness| h.app.player().expect("a replay").speed();
    h.press("+ up");
    assert_eq!(speed(&h), 4.0);
    h.press("- - - - - -");
    assert_eq!(speed(&h), 0.25);
    h.press("1");
    assert_eq!(speed(&h), 1.0);
    h.press("0");
    assert!(h.screen().contains("at once"), "{}", h.screen());
    h.tick(1);
    h.tick(2);
    assert_eq!(course(&h), Course::Over);
}

#[test]
fn nothing_can_be_changed_or_said() {
    let (mut h, _) = playing();
    h.press("end");
    let settings = h.state().settings.clone();
    h.write("hello");
    h.send(Msg::Paste("hello".into()));
    let changing: [Action; 6] = [
        ChatAction::Send.into(),
        ChatAction::Regenerate.into(),
        ChatAction::Clear.into(),
        ChatAction::Race.into(),
        AppAction::Models.into(),
        AppAction::Sessions.into(),
    ];
    for action in changing {
        h.send(Msg::Action(action));
    }
    h.press("alt-right alt-up f8 ctrl-l tab right 7 enter");
    let track = h.find(&Target::Track(skiplens::app::Control::ExitLayer));
    h.click(track.x + 1, track.y);
    assert_eq!(h.state().settings, settings);
    assert!(
        h.state().prompt.is_empty() && h.state().overlay.is_none() && h.state().turns.len() == 2
    );
    assert!(h.effects.is_empty() && h.commands.len() == 1);
    h.press("ctrl-p");
    assert!(!h.screen().contains("regenerate"), "{}", h.screen());
}

#[test]
fn tokens_are_inspected() {
    let (mut h, _) = playing();
    h.press("end tab tab left");
    assert_eq!(h.state().focus, Pane::Chat);
    assert!(h.screen().contains("p verify"), "{}", h.screen());
    assert!(h.screen().contains("the journal has no"), "{}", h.screen());
}

#[test]
fn the_engine_goes_on_beneath() {
    let mut h = Harness::starting(100, 30, Options::default());
    h.send(Msg::ReplayLoaded(said("Old", 1)));
    h.press("right right");
    h.send(Msg::Engine(loaded()));
    assert!(progress(&h).0 == 2 && h.state().turns.len() == 1);
    h.send(Msg::Engine(Event::Model(ModelEvent::Failed(
        Failure::internal("late"),
    ))));
    h.press("esc");
    assert!(h.state().model.is_some(), "the model was loaded meanwhile");
}

#[test]
fn alone_it_needs_no_model_and_ends_with_the_program() {
    let mut h = Harness::starting(100, 30, Options::default());
    h.app.replay_alone(said("Old", 1), 2.0, 3);
    h.draw();
    assert_eq!(progress(&h).0, 3);
    assert!(
        h.screen().contains("SmolLM2-135M-LayerSkip"),
        "{}",
        h.screen()
    );
    assert!(h.screen().contains("playing  2×"), "{}", h.screen());
    h.press("esc");
    assert!(h.app.shared.quit && h.effects == [Effect::Quit]);
}

#[test]
fn the_list_and_a_command_begin_it() {
    let mut h = Harness::ready(100, 30);
    let sessions = vec![said("Old", 1)];
    let id = sessions[0].header.id.clone();
    let mut shelf = Shelf {
        sessions,
        ..Shelf::default()
    };
    h.press("ctrl-s");
    shelf.serve(&mut h);
    h.press("ctrl-r");
    shelf.serve(&mut h);
    assert_eq!(course(&h), Course::Playing);
    h.press("esc");
    h.ask_command(&format!("/replay {id}"));
    shelf.serve(&mut h);
    assert!(h.app.player().is_some());
}

#[test]
fn the_next_event_is_waited_for_and_not_longer() {
    let (mut h, _) = playing();
    assert_eq!(
        h.app.due_in(),
        Some(std::time::Duration::ZERO),
        "the clock is read first"
    );
    h.tick(1000);
    let due = h.app.due_in().expect("something to come");
    assert!(due > std::time::Duration::ZERO);
    h.press("space");
    assert_eq!(h.app.due_in(), None);
}

#[test]
fn what_if_works_on_what_the_journal_holds() {
    let (mut h, _) = playing();
    h.press("end f4");
    assert!(h.state().overlay.is_none());
    assert!(
        h.state()
            .notice
            .as_ref()
            .is_some_and(|notice| notice.text.contains("journal has no layer predictions"))
    );
    let mut asked = Harness::ready(100, 30);
    asked.ask("Why is the sky blue?");
    asked.press("f4");
    asked.engine(usize::MAX);
    let lens = asked.state().turns[0].lens.clone();
    let mut h = Harness::ready(100, 30);
    h.send(Msg::ReplayLoaded(session_of(asked.state())));
    h.press("right f4");
    assert!(h.screen().contains("best: E"), "{}", h.screen());
    assert_eq!(h.state().turns[0].lens, lens);
    let settings = h.state().settings.clone();
    h.press("up enter");
    assert!(h.screen().contains("this is a replay"), "{}", h.screen());
    h.press("esc");
    assert!(h.state().overlay.is_none() && h.state().settings == settings && h.commands.is_empty());
    h.press("tab tab left");
    assert!(
        h.screen().contains("first agreed") || h.screen().contains("no layer agrees"),
        "{}",
        h.screen()
    );
}

#[test]
fn recorded_detail_asks_every_layer_once_the_answer_is_there() {
    let mut h = Harness::ready(100, 30);
    h.press("tab tab d tab tab");
    h.ask("Why?");
    assert!(
        matches!(
            h.commands.last(),
            Some(Command::Start {
                task: Task::Lens,
                ..
            })
        ),
        "{:?}",
        h.commands
    );
    assert!(
        h.state().turns[0]
            .lens
            .as_ref()
            .is_some_and(|lens| lens.complete())
    );
    h.press("f4");
    assert_eq!(
        h.commands
            .iter()
            .filter(|command| matches!(
                command,
                Command::Start {
                    task: Task::Lens,
                    ..
                }
            ))
            .count(),
        1
    );
}
