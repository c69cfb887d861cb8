//! A sweep over exit layers and speculations, on the current prompt or from a file.

use super::support::Harness;
use skiplens::app::state::sweep::{Cell, SweepRow};
use skiplens::app::{Effect, Msg, Overlay, Target};
use skiplens::engine::decode::Strategy;
use skiplens::engine::worker::{Command, RunId, Task};

fn sweeping() -> Harness {
    let mut h = Harness::ready(100, 30);
    h.ask("Why is the sky blue?");
    h.ask_command("/sweep");
    h
}

fn cells(h: &Harness) -> usize {
    match &h.state().overlay {
        Some(Overlay::Sweep(sweep)) => sweep.cells.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_map_fills_and_a_cell_is_applied_as_one_change() {
    let mut h = sweeping();
    let Some(Command::Start {
        task: Task::Sweep { pairs, .. },
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    let pairs = pairs.len();
    h.engine(10);
    assert_eq!(cells(&h), 9, "plain decoding comes first");
    assert!(h.screen().contains("measuring: 9 of"), "{}", h.screen());
    h.engine(usize::MAX);
    assert_eq!(cells(&h), pairs);
    let before = h.state().settings.clone();
    h.press("b enter");
    let settings = h.state().settings.clone();
    assert_eq!((settings.exit_layer, settings.num_speculations), (7, 2));
    assert_eq!(settings.strategy, Strategy::SelfSpeculative);
    assert!(h.state().overlay.is_none());
    h.press("alt-u");
    assert_eq!(h.state().settings, before);
    assert_eq!(h.state().turns.len(), 1, "the conversation is left alone");
}

#[test]
fn esc_stops_it_and_keeps_what_there_is() {
    let mut h = sweeping();
    h.engine(10);
    h.press("esc");
    assert_eq!(h.commands.last(), Some(&Command::Cancel { run: RunId(1) }));
    h.engine(usize::MAX);
    assert_eq!(cells(&h), 9);
    assert!(h.screen().contains("cancelled: 9 of"), "{}", h.screen());
    h.press("esc");
    assert!(h.state().overlay.is_none());
}

/// However the sweep leaves the screen, the engine hears of it.
#[test]
fn applying_a_cell_or_closing_cancels_it() {
    let mut h = sweeping();
    h.engine(10);
    h.press("enter");
    assert!(h.commands.contains(&Command::Cancel { run: RunId(1) }));
    let mut h = sweeping();
    h.engine(10);
    h.click(2, 5);
    assert!(h.commands.contains(&Command::Cancel { run: RunId(1) }));
}

#[test]
fn the_mouse_selects_and_applies_cells() {
    let mut h = sweeping();
    h.engine(usize::MAX);
    let cell = h.find(&Target::Cell {
        exit_layer: 29,
        num_speculations: 3,
    });
    h.click(cell.x, cell.y);
    assert!(h.screen().contains("here: E 29  K 3"), "{}", h.screen());
    h.click(cell.x, cell.y);
    assert_eq!(h.state().settings.exit_layer, 29);
}

#[test]
fn a_file_opens_in_the_same_view() {
    let mut h = Harness::ready(100, 30);
    h.ask_command("/sweep logs/sweep.csv");
    assert_eq!(
        h.effects.last(),
        Some(&Effect::OpenSweep("logs/sweep.csv".into()))
    );
    let row = |exit_layer, tokens_per_second| SweepRow {
        exit_layer,
        num_speculations: 2,
        cell: Cell {
            tokens_per_second,
            acceptance_rate: Some(0.5),
        },
    };
    h.send(Msg::SweepLoaded {
        title: "logs/sweep.csv".into(),
        rows: vec![row(4, 90.0), row(8, 120.0)],
        plain: Some(100.0),
    });
    let screen = h.screen();
    for words in [
        "logs/sweep.csv",
        "best: E 8   K 2",
        "1.20× plain",
        "0.90",
        "2 of 2 pairs",
    ] {
        assert!(screen.contains(words), "{words} in\n{screen}");
    }
    h.send(Msg::SweepLoaded {
        title: "empty.csv".into(),
        rows: Vec::new(),
        plain: None,
    });
    assert!(
        h.screen().contains("has no measured cells"),
        "{}",
        h.screen()
    );
}
