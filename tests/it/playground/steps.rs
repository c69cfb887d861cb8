//! Pausing, single steps, rounds, and the token's details.

use super::support::Harness;
use skiplens::app::{Msg, Pane, Phase, Target};
use skiplens::engine::worker::{Command, Event, RunId};

#[test]
fn a_run_is_paused_stepped_and_goes_on() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("f5");
    h.engine(9);
    assert!(
        matches!(h.state.phase, Phase::Paused { .. }),
        "{:?}",
        h.state.phase
    );
    assert!(h.screen().contains("paused"), "{}", h.screen());
    let rounds = h.state.turns[0].rounds.len();
    h.press("f6");
    assert_eq!(h.commands.last(), Some(&Command::Step));
    h.engine(9);
    assert!(matches!(h.state.phase, Phase::Paused { .. }));
    assert_eq!(h.state.turns[0].rounds.len(), rounds + 1);
    h.press("f5");
    assert_eq!(h.commands.last(), Some(&Command::Resume));
    h.send(Msg::Engine(Event::Paused { run: RunId(0) }));
    assert!(
        matches!(h.state.phase, Phase::Generating { .. }),
        "a late pause changes nothing"
    );
    h.engine(usize::MAX);
    assert_eq!(h.state.phase, Phase::Idle);
}

/// What every layer says appears while it is written, once that is asked for, and follows the newest token.
#[test]
fn layers_appear_while_it_writes() {
    let mut h = Harness::ready(80, 24);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("tab tab");
    assert!(!h.screen().contains("newest token"), "{}", h.screen());
    h.press("d");
    assert!(matches!(h.commands.last(), Some(Command::Settings(settings)) if settings.detail));
    h.engine(12);
    assert!(
        h.screen().contains("newest token") && h.screen().contains("first agreed"),
        "{}",
        h.screen()
    );
    let before = h.state.inspected();
    h.engine(12);
    assert!(h.state.inspected() > before && h.state.view.cursor.is_none());
    h.press("left left");
    assert!(h.state.inspected() == h.state.view.cursor && !h.screen().contains("newest token"));
    h.press("d");
    assert!(matches!(h.commands.last(), Some(Command::Settings(settings)) if !settings.detail));
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter");
    h.engine(20);
    h.press("f5");
    h.engine(9);
    h.press("esc");
    assert_eq!(h.commands.last(), Some(&Command::Cancel(RunId(0))));
    h.engine(9);
    assert_eq!(h.state.phase, Phase::Idle);
}

#[test]
fn a_step_shows_what_is_drafted_and_how_likely() {
    let mut h = Harness::ready(100, 30);
    h.write("hi");
    h.press("enter f5");
    h.engine(3);
    h.send(Msg::Engine(Event::Drafted {
        run: RunId(0),
        id: 5,
        text: "The".into(),
        p_draft: 0.625,
    }));
    h.send(Msg::Engine(Event::Paused { run: RunId(0) }));
    let screen = h.screen();
    assert!(
        screen.contains("“The”") && screen.contains("62.5 %"),
        "{screen}"
    );
}

#[test]
fn rounds_are_walked_and_clicked() {
    let mut h = Harness::ready(100, 40);
    h.ask("hi");
    let last = h.state.turns[0].rounds.len() - 1;
    h.press("backtab");
    assert_eq!(h.state.focus, Pane::Rounds);
    assert_eq!(h.state.view.cursor.map(|at| at.round), Some(last));
    h.press("left left");
    assert_eq!(h.state.view.cursor.map(|at| at.round), Some(last - 2));
    h.press("home");
    assert_eq!(h.state.view.cursor.map(|at| at.round), Some(0));
    h.press("end");
    let area = h.find(&Target::Round {
        turn: 0,
        round: last - 3,
    });
    h.click(area.x, area.y);
    assert_eq!(h.state.view.cursor.map(|at| at.round), Some(last - 3));
    assert!(h.screen().contains("ms"), "{}", h.screen());
}

#[test]
fn the_inspector_shows_layers_and_alternatives_where_they_were_recorded() {
    let mut h = Harness::ready(160, 50);
    h.ask("hi");
    h.press("tab tab");
    assert!(h.screen().contains("d records layers"), "{}", h.screen());
    h.press("d r");
    h.engine(usize::MAX);
    h.press("left");
    let screen = h.screen();
    for words in [
        "first agreed: layer 12",
        "entropy 0.70",
        "80.0 %",
        "p verify",
    ] {
        assert!(screen.contains(words), "{words}\n{screen}");
    }
}

/// Without drafts nothing is said of drafts.
#[test]
fn plain_decoding_is_told_as_such() {
    let mut h = Harness::ready(100, 40);
    h.ask_command("/set strategy autoregressive");
    h.ask("hi");
    let screen = h.screen();
    assert!(
        screen.contains("nothing drafted") && screen.contains("ms a token"),
        "{screen}"
    );
    assert!(
        !screen.contains("0/0") && !screen.contains("ms draft"),
        "{screen}"
    );
}
