//! A race: started, watched, cancelled, run again; the conversation stays as it is.

use super::support::{Harness, answer, race, round};
use skiplens::app::input::action::{AppAction, ChatAction};
use skiplens::app::state::race::Verdict;
use skiplens::app::{Action, Msg, Overlay, Phase, Race};
use skiplens::engine::decode::{Settings, StopReason};
use skiplens::engine::prompt::{Message, Prompt, Role};
use skiplens::engine::worker::{Command, Event, Failure, Lane, RunEvent, RunId, Task};

fn shown(h: &Harness) -> &Race {
    match &h.state().overlay {
        Some(Overlay::Race(race)) => race,
        other => panic!("no race but {other:?}"),
    }
}

fn cancelled(h: &Harness, run: RunId) -> bool {
    h.commands.contains(&Command::Cancel { run })
}

#[test]
fn both_lanes_reach_the_same_text_and_the_chat_is_left_alone() {
    let mut h = Harness::ready(160, 50);
    h.ask("Why is the sky blue?");
    let before = h.state().turns.clone();
    h.press("f7");
    h.engine(10);
    assert!(h.screen().contains("exact so far"), "{}", h.screen());
    h.engine(usize::MAX);
    assert_eq!(shown(&h).verdict(), Verdict::Exact(answer().len()));
    assert_eq!(
        shown(&h).lane(Lane::Reference).answer(),
        shown(&h).lane(Lane::Challenger).answer()
    );
    assert!(shown(&h).speed_up().is_some_and(|times| times > 0.0));
    assert!(
        h.screen().contains("the speed of plain, with E 7 K 4") && h.screen().contains("exact:"),
        "{}",
        h.screen()
    );
    assert_eq!(
        (h.state().turns.clone(), &h.state().phase),
        (before, &Phase::Idle)
    );
    h.press("esc");
    assert!(h.state().overlay.is_none());
}

/// Without a text being written the race is on the last prompt, without its answer.
#[test]
fn what_is_raced_on() {
    let said = |role, content: &str| Message {
        role,
        content: content.into(),
    };
    let raced = |h: &Harness| match h.commands.last() {
        Some(Command::Start {
            task: Task::Race { prompt, .. },
            ..
        }) => prompt.clone(),
        other => panic!("no race but {other:?}"),
    };
    let mut h = Harness::ready(80, 24);
    h.ask("one");
    h.ask("two");
    let first = answer().concat();
    h.ask_command("/race");
    let history = [
        said(Role::User, "one"),
        said(Role::Assistant, &first),
        said(Role::User, "two"),
    ];
    assert_eq!(raced(&h), Prompt::Chat(history.to_vec()));
    h.press("esc esc");
    h.ask_command("/race three");
    assert!(matches!(raced(&h), Prompt::Chat(all) if all.len() == 5 && all[4].content == "three"));
    assert_eq!(h.state().prompt.text(), "three");
    h.press("esc esc f8 f7");
    assert_eq!(raced(&h), Prompt::Text("three".into()));
}

/// Without an engine there is no more to come: the race says so and lets go.
#[test]
fn an_engine_that_dies_ends_it() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    h.press("f7");
    h.engine(20);
    h.send(Msg::EngineGone);
    assert!(
        h.screen().contains("the engine has stopped"),
        "{}",
        h.screen()
    );
    assert!(!h.app.animated());
    h.press("esc");
    assert!(h.state().overlay.is_none());
}

#[test]
fn nothing_to_race_on_or_a_busy_engine_is_said() {
    let mut h = Harness::ready(80, 24);
    h.press("f7");
    assert!(h.state().overlay.is_none() && h.state().notice.is_some());
    h.write("hi");
    h.press("enter");
    h.engine(10);
    h.press("f7");
    assert!(h.state().overlay.is_none());
}

#[test]
fn esc_cancels_then_closes() {
    for leave in ["esc", "ctrl-c"] {
        let mut h = Harness::ready(80, 24);
        h.ask("hi");
        h.press("f7");
        h.engine(20);
        h.press(leave);
        assert!(cancelled(&h, RunId(1)));
        assert!(matches!(shown(&h).verdict(), Verdict::Same(_)));
        h.engine(usize::MAX);
        h.press("esc");
        assert!(h.state().overlay.is_none() && !h.app.shared.quit);
    }
}

/// However the race leaves the screen, the engine hears of it.
#[test]
fn whatever_takes_its_place_cancels_it() {
    let actions: [Action; 3] = [
        AppAction::Help.into(),
        AppAction::Palette.into(),
        ChatAction::LoadModel(None).into(),
    ];
    for action in actions {
        let mut h = Harness::ready(80, 24);
        h.ask("hi");
        h.press("f7");
        h.engine(20);
        h.send(Msg::Action(action));
        h.press("esc");
        assert!(cancelled(&h, RunId(1)) || matches!(h.commands.last(), Some(Command::Load(_))));
    }
    let mut h = Harness::ready(160, 50);
    h.ask("hi");
    h.press("f7");
    h.engine(20);
    h.click(0, 49);
    assert!(h.state().overlay.is_some() || cancelled(&h, RunId(1)));
}

#[test]
fn enter_runs_it_again() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    h.press("f7 enter");
    assert_eq!(shown(&h).run, RunId(1), "it goes on");
    h.engine(usize::MAX);
    h.press("enter");
    assert_eq!(shown(&h).run, RunId(2));
    assert_eq!(shown(&h).verdict(), Verdict::Same(0));
}

#[test]
fn the_first_difference_is_named() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    h.press("f7");
    let plain = Settings {
        strategy: skiplens::engine::decode::Strategy::Autoregressive,
        ..Settings::default()
    };
    let words = answer();
    for (lane, at) in [
        (Lane::Reference, 0),
        (Lane::Challenger, 0),
        (Lane::Challenger, 5),
    ] {
        let round = Box::new(round(0, at, &plain, &words));
        h.send(Msg::Engine(Event::Run(
            RunId(1),
            RunEvent::Race { lane, round },
        )));
    }
    assert_eq!(shown(&h).verdict(), Verdict::Same(1));
    let next = Box::new(round(1, 1, &plain, &words));
    h.send(Msg::Engine(Event::Run(
        RunId(1),
        RunEvent::Race {
            lane: Lane::Reference,
            round: next,
        },
    )));
    assert_eq!(shown(&h).verdict(), Verdict::Differs(1));
    assert!(h.screen().contains("differs at token 1"), "{}", h.screen());
}

#[test]
fn late_events_are_dropped() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    let turns = h.state().turns.clone();
    let events = race(RunId(1), &Settings::default());
    events
        .iter()
        .for_each(|event| h.send(Msg::Engine(event.clone())));
    h.press("f7");
    for event in race(RunId(7), &Settings::default()) {
        h.send(Msg::Engine(event));
    }
    assert_eq!(shown(&h).verdict(), Verdict::Same(0));
    h.press("esc");
    events
        .iter()
        .for_each(|event| h.send(Msg::Engine(event.clone())));
    assert_eq!(shown(&h).verdict(), Verdict::Same(0));
    assert_eq!(h.state().turns, turns);
}

#[test]
fn a_failure_is_told() {
    let mut h = Harness::ready(80, 24);
    h.ask("hi");
    h.press("f7");
    h.send(Msg::Engine(Event::Run(
        RunId(1),
        RunEvent::Failed(Failure::internal("no memory for two caches")),
    )));
    assert!(
        h.screen().contains("no memory for two caches"),
        "{}",
        h.screen()
    );
    assert_eq!(h.state().phase, Phase::Idle);
    let cancelled = Event::Run(
        RunId(1),
        RunEvent::Finished {
            reason: StopReason::Cancelled,
            stats: Default::default(),
        },
    );
    h.send(Msg::Engine(cancelled));
    h.press("esc");
    assert!(h.state().overlay.is_none());
}

/// What the plain lane measured is what later answers are compared with.
#[test]
fn a_race_is_the_yardstick_of_the_speed_up() {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    assert!(
        h.screen().contains("f7 races against plain"),
        "{}",
        h.screen()
    );
    h.press("f7");
    h.engine(usize::MAX);
    h.press("esc");
    assert!(h.screen().contains("last race "), "{}", h.screen());
}

/// What the panel compares was measured together: the race's own figure, however fast the chat's answer was.
#[test]
fn the_panel_says_what_the_race_measured() {
    let mut h = Harness::ready(100, 30);
    h.ask("hi");
    assert!(
        h.screen().contains("f7 races against plain"),
        "{}",
        h.screen()
    );
    h.press("alt-right alt-right");
    h.press("f7");
    h.engine(30);
    assert_eq!(h.state().raced, None, "it has not come to its end");
    h.engine(usize::MAX);
    let times = shown(&h).speed_up().expect("a figure");
    h.press("esc alt-left");
    let told = format!("last race {times:.2}× with E 9 K 4");
    assert!(h.screen().contains(&told), "{told}\n{}", h.screen());
    h.press("f7 esc esc");
    h.engine(usize::MAX);
    assert!(
        h.screen().contains(&told),
        "one that is given up measures nothing"
    );
    let mut other = super::support::model();
    other.name = "Other".into();
    h.send(Msg::Engine(super::support::loaded_as(other)));
    h.ask("hi");
    assert!(
        !h.screen().contains("last race"),
        "another model was not in it"
    );
}
