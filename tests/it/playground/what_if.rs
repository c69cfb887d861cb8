//! The map of exit layers and speculations: asked for, filled, walked over, taken, left.

use super::support::{Harness, key, lens};
use skiplens::app::input::action::{ChatAction, ControlsAction};
use skiplens::app::{Control, Msg, Overlay, Pane, Target, WhatIf};
use skiplens::engine::decode::{Controller, CostModel, Round, Settings, Strategy};
use skiplens::engine::prompt::Prompt;
use skiplens::engine::sampling::{Coupling, Sampling};
use skiplens::engine::worker::{Command, Event, Failure, RunEvent, RunId, Task};
use std::sync::Arc;

fn answered(width: u16, height: u16) -> Harness {
    let mut h = Harness::ready(width, height);
    h.ask("Why is the sky blue?");
    h
}

fn map(h: &Harness) -> WhatIf {
    match h.state().overlay {
        Some(Overlay::WhatIf(map)) => map,
        ref other => panic!("no map but {other:?}"),
    }
}

fn lenses(h: &Harness) -> usize {
    h.commands
        .iter()
        .filter(|command| {
            matches!(
                command,
                Command::Start {
                    task: Task::Lens,
                    ..
                }
            )
        })
        .count()
}

#[test]
fn key_command_and_action_ask_once_and_the_map_fills() {
    let mut h = answered(100, 40);
    h.press("f4");
    assert!(h.screen().contains("measuring"), "{}", h.screen());
    assert!(matches!(
        h.commands.last(),
        Some(Command::Start {
            run: RunId(0),
            task: Task::Lens,
            ..
        })
    ));
    h.engine(1);
    assert!(h.screen().contains("16 of"), "{}", h.screen());
    h.engine(usize::MAX);
    assert!(h.screen().contains(" over "), "{}", h.screen());
    assert!(!h.state().lens_pending());
    h.press("esc");
    h.ask_command("/whatif");
    h.press("esc");
    h.send(Msg::Action(ChatAction::WhatIf.into()));
    assert_eq!(lenses(&h), 1);
    assert_eq!((map(&h).exit_layer, map(&h).num_speculations), (7, 4));
}

/// The map's figure for the settings in force is what was measured.
#[test]
fn the_present_cell_tells_the_acceptance_that_was() {
    let mut h = answered(100, 40);
    h.press("f4");
    h.engine(usize::MAX);
    let turn = h.state().turns.last().expect("a turn");
    let lens = turn.lens.as_ref().expect("a lens");
    let forecast = h
        .state()
        .forecasts(h.state().lens_turn().expect("an answer"));
    let forecast = forecast.at(7, 4).expect("a forecast");
    assert_eq!(
        (forecast.drafted, forecast.accepted),
        (turn.stats.drafted, turn.stats.accepted)
    );
    assert_eq!(lens.forecasts.len(), 29 * 12);
}

#[test]
fn keys_move_the_cursor_within_the_map() {
    let table = [
        ("up", (6, 4)),
        ("down down", (9, 4)),
        ("k l", (6, 5)),
        ("left left left left left", (7, 1)),
        (
            "pagedown pagedown pagedown pagedown pagedown pagedown",
            (29, 4),
        ),
        ("pageup pageup", (1, 4)),
        ("down x", (8, 4)),
        ("x", (7, 4)),
    ];
    for (keys, cell) in table {
        let mut h = answered(80, 24);
        h.press("f4");
        h.engine(usize::MAX);
        h.press(keys);
        assert_eq!(
            (map(&h).exit_layer, map(&h).num_speculations),
            cell,
            "{keys}"
        );
    }
}

#[test]
fn enter_takes_the_cell_as_one_change() {
    let mut h = answered(100, 40);
    h.press("f4");
    h.engine(usize::MAX);
    h.press("b enter");
    let forecasts = h.state().forecasts(&h.state().turns[0]);
    let best = *forecasts.best().expect("a best cell");
    let now = (
        h.state().settings.exit_layer,
        h.state().settings.num_speculations,
    );
    assert_eq!(now, (best.exit_layer, best.num_speculations));
    assert!(h.state().overlay.is_none());
    h.send(Msg::Action(ControlsAction::Undo.into()));
    assert_eq!(
        (
            h.state().settings.exit_layer,
            h.state().settings.num_speculations
        ),
        (7, 4)
    );
}

/// While an answer is written the engine hears of the new settings once.
#[test]
fn a_cell_taken_while_it_writes_is_sent() {
    let mut h = Harness::ready(100, 40);
    h.write("hi");
    h.press("enter");
    h.engine(40);
    h.press("f4");
    assert!(h.screen().contains("waiting for the end"), "{}", h.screen());
    h.commands.clear();
    h.press("down right enter");
    let sent: Vec<_> = h
        .commands
        .iter()
        .filter(|c| matches!(c, Command::Settings { settings: _, .. }))
        .collect();
    let expected = Settings {
        exit_layer: 8,
        num_speculations: 5,
        ..h.state().settings.clone()
    };
    let expected = Command::Settings {
        run: RunId(0),
        settings: Arc::new(expected),
    };
    assert_eq!(sent, [&expected]);
    h.engine(usize::MAX);
    assert!(
        h.state().turns[0]
            .lens
            .as_ref()
            .is_some_and(|lens| lens.complete())
    );
}

#[test]
fn a_click_goes_to_a_cell_and_a_second_one_takes_it() {
    let mut h = answered(100, 40);
    h.press("f4");
    h.engine(usize::MAX);
    let cell = h.find(&Target::Cell {
        exit_layer: 9,
        num_speculations: 3,
    });
    h.click(cell.x + 1, cell.y);
    assert_eq!((map(&h).exit_layer, map(&h).num_speculations), (9, 3));
    h.click(cell.x + 1, cell.y);
    assert_eq!(
        (
            h.state().settings.exit_layer,
            h.state().settings.num_speculations
        ),
        (9, 3)
    );
}

#[test]
fn esc_leaves_and_changes_nothing() {
    let mut h = answered(80, 24);
    let before = h.state().settings.clone();
    h.press("f4 down right esc");
    assert!(h.state().overlay.is_none());
    assert_eq!(h.state().settings, before);
}

#[test]
fn late_and_foreign_rows_are_dropped() {
    let mut h = answered(80, 24);
    let rows = lens(RunId(0));
    h.send(Msg::Engine(rows[0].clone()));
    assert!(h.state().turns[0].lens.is_none(), "nobody asked");
    h.press("f4");
    h.send(Msg::Engine(lens(RunId(9))[0].clone()));
    assert!(
        h.state().turns[0]
            .lens
            .as_ref()
            .is_some_and(|lens| lens.rows.is_empty())
    );
    h.send(Msg::Engine(rows[0].clone()));
    h.send(Msg::Engine(rows[0].clone()));
    assert_eq!(
        h.state().turns[0].lens.as_ref().map(|lens| lens.rows.len()),
        Some(16)
    );
    let odd = Event::Run(
        RunId(0),
        RunEvent::Lens {
            rows: Vec::new(),
            of: 0,
            costs: CostModel::default(),
        },
    );
    h.send(Msg::Engine(odd));
    h.press("b up down enter");
}

#[test]
fn a_map_of_a_turn_that_is_gone_says_so() {
    let mut h = answered(80, 24);
    h.press("f4");
    h.engine(usize::MAX);
    h.send(Msg::Action(ChatAction::Regenerate.into()));
    h.engine(10);
    assert!(h.screen().contains("open it again"), "{}", h.screen());
    h.send(Msg::Action(ChatAction::Clear.into()));
    h.press("enter");
    assert!(h.state().overlay.is_none());
    h.press("f4");
    assert!(h.state().overlay.is_none() && h.state().notice.is_some());
}

#[test]
fn an_answer_of_another_model_cannot_be_asked_about() {
    let mut h = answered(80, 24);
    let mut other = super::support::model();
    other.name = "Other".into();
    h.send(Msg::Action(
        ChatAction::LoadModel(Some("other.gguf".into())).into(),
    ));
    h.send(Msg::Engine(super::support::loaded_as(other)));
    h.press("f4");
    assert!(h.state().overlay.is_none() && h.state().notice.is_some());
    assert_eq!(lenses(&h), 0);
}

/// The engine has no keys and values of an answer that came from a file, and so reads it first.
#[test]
fn a_saved_answer_of_this_model_is_read_first() {
    let mut h = answered(80, 24);
    let answer: Vec<u32> = {
        let rounds = h.state().turns[0].rounds.iter();
        rounds.flat_map(Round::kept).map(|token| token.id).collect()
    };
    let session = super::support::session_of(h.state());
    h.send(Msg::SessionLoaded(session));
    h.press("f4");
    assert!(matches!(h.state().overlay, Some(Overlay::WhatIf(_))));
    let Some(Command::Start {
        run,
        task: Task::LensOf {
            prompt,
            answer: read,
        },
        ..
    }) = h.commands.last()
    else {
        panic!("{:?}", h.commands.last());
    };
    assert_eq!(*read, answer);
    assert!(matches!(prompt, Prompt::Chat(messages) if messages.len() == 1));
    assert_eq!(h.state().turns[0].run, Some(*run));
}

#[test]
fn a_failure_is_told_and_asked_again() {
    let mut h = answered(80, 24);
    h.press("f4");
    h.send(Msg::Engine(Event::Run(
        RunId(0),
        RunEvent::Failed(Failure::internal("no room\u{1b}[2J")),
    )));
    assert!(h.screen().contains("no room"), "{}", h.screen());
    h.press("esc f4");
    assert_eq!(lenses(&h), 2);
}

#[test]
fn the_note_says_what_is_exact() {
    let coupled = |sampling: Sampling| {
        let mut h = Harness::ready(100, 40);
        h.state_mut().settings.sampling = sampling;
        h.ask("hi");
        h.press("f4");
        h.engine(usize::MAX);
        h.screen().contains("Acceptance is exact")
    };
    assert!(coupled(Sampling {
        sample: false,
        ..Sampling::default()
    }));
    assert!(coupled(Sampling {
        sample: true,
        coupling: Coupling::SharedNoise,
        ..Sampling::default()
    }));
    assert!(!coupled(Sampling {
        sample: true,
        coupling: Coupling::Rejection,
        ..Sampling::default()
    }));
}

/// The inspector of a token without recorded detail reads the lens.
#[test]
fn the_lens_tells_the_inspector_every_layer() {
    let mut h = answered(160, 50);
    h.press("f4");
    h.engine(usize::MAX);
    h.press("esc tab tab left left");
    assert!(h.screen().contains("first agreed: layer"), "{}", h.screen());
}

/// The sliders stay the user's; the panel says what the controller made of them and why.
#[test]
fn a_controller_shows_its_choice_and_its_reason() {
    let mut h = answered(160, 50);
    h.send(Msg::Action(
        ControlsAction::Set(Control::Controller, 2.0).into(),
    ));
    assert_eq!(
        h.state().settings.controller,
        Controller::AdaptiveSpeculations
    );
    h.write("hi");
    h.press("enter");
    h.engine(5);
    let settings = Settings {
        exit_layer: 5,
        num_speculations: 9,
        ..h.state().settings.clone()
    };
    let mut made = super::support::round(1, 0, &settings, &super::support::answer());
    made.controller_note = Some("adaptive K, target 9.2".into());
    h.send(Msg::Engine(Event::Run(
        RunId(1),
        RunEvent::Round(Box::new(made)),
    )));
    assert!(h.screen().contains("E 5 K 9"), "{}", h.screen());
    assert!(h.screen().contains("yours E 7 K 4") && h.screen().contains("adaptive K, target 9.2"));
    assert_eq!(
        (
            h.state().settings.exit_layer,
            h.state().settings.num_speculations
        ),
        (7, 4)
    );
    assert_eq!(
        h.app.shared.keys.action(Pane::Prompt, key("f4")),
        Some(&ChatAction::WhatIf.into())
    );
}

/// The threshold is of use to one controller only, so moving it chooses that one.
#[test]
fn moving_the_threshold_chooses_the_confidence_stop() {
    let mut h = Harness::ready(100, 40);
    h.ask_command("/set confidence 0.7");
    assert_eq!(
        h.state().settings.controller,
        Controller::Confidence { threshold: 0.7 }
    );
    h.send(Msg::Action(ControlsAction::Undo.into()));
    assert_eq!(h.state().settings.controller, Controller::Fixed);
}

/// A cell is about self-speculative decoding; taking it turns that on, as part of the same change.
#[test]
fn enter_turns_speculation_on() {
    let mut h = answered(100, 30);
    h.ask_command("/set strategy autoregressive");
    h.press("f4");
    h.engine(usize::MAX);
    h.press("down enter");
    assert_eq!(h.state().settings.strategy, Strategy::SelfSpeculative);
    h.press("alt-u");
    assert_eq!(h.state().settings.strategy, Strategy::Autoregressive);
    assert_eq!(h.state().settings.exit_layer, 7);
}

/// The words on screen, however lines break.
fn words(h: &Harness) -> String {
    let lines = h.screen().replace(['│', '\n'], " ");
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cells are about chains of early exit. What decoding does beyond that is named below the map.
#[test]
fn the_map_names_the_settings_that_no_cell_predicts() {
    let none = "No cell predicts the settings now:";
    for (command, told) in [
        ("/set tree 8", "a tree of 8 nodes."),
        ("/set proposers exit+lookup", "lookup."),
        ("/set controller adaptive-k", "the controller adaptive K."),
        ("/set controller auto", "the controller auto."),
        ("/set strategy autoregressive", "no drafts."),
    ] {
        let mut h = answered(100, 40);
        h.press("f4");
        h.engine(usize::MAX);
        let screen = words(&h);
        assert!(!screen.contains(none), "{screen}");
        assert!(screen.contains("● settings now"), "{screen}");
        h.press("esc");
        h.ask_command(command);
        h.press("f4");
        let screen = words(&h);
        assert!(screen.contains(&format!("{none} {told}")), "{screen}");
        assert!(!screen.contains("settings now "), "{screen}");
        let has_pair = ["tree", "lookup", "adaptive"];
        let has_pair = has_pair.iter().any(|part| command.contains(part));
        assert_eq!(screen.contains("● E and K now"), has_pair, "{screen}");
    }
}

/// Drafts through an adapter are not those of the model's own head, which the layers' predictions are.
#[test]
fn the_map_names_adapters_that_draft() {
    let mut model = super::support::model();
    model.adapters = vec![7];
    let mut h = Harness::starting(100, 40, skiplens::app::Options::default());
    h.send(Msg::Engine(super::support::loaded_as(model)));
    h.ask("Why is the sky blue?");
    h.press("f4");
    h.engine(usize::MAX);
    assert!(words(&h).contains("exit adapters."), "{}", h.screen());
    h.press("esc");
    h.ask_command("/set adapter off");
    h.press("f4");
    assert!(!words(&h).contains("exit adapters."), "{}", h.screen());
}
