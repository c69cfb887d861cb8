//! A sweep over exit layers and speculations on the current prompt. The conversation does not change.

use super::reply::Reply;
use super::{controls, race, run};
use crate::app::controls::Control;
use crate::app::input::action::{ChatAction, Opponent, WhatIfAction};
use crate::app::message::Effect;
use crate::app::state::sweep::SweepRow;
use crate::app::state::turn::Outcome;
use crate::app::state::{CONVERSATION, Overlay, Shared, State, Sweep};
use crate::engine::decode::{StopReason, Strategy};
use crate::engine::worker::{Command, RunEvent, RunId, Task};
use std::sync::Arc;

/// Rows that a page key moves by.
const PAGE: isize = 4;

/// Starts a sweep on the text of the prompt, else on the last question.
pub(super) fn start(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    if state.side_run().is_some() || !run::ready(state, shared) {
        return None;
    }
    let Some((text, prompt)) = race::prompt(state) else {
        state.notify_error("write a prompt to sweep on, or ask something first");
        return None;
    };
    let layers = state.layers().unwrap_or(2);
    if layers < 2 {
        state.notify_error("a model of one layer has no early exit");
        return None;
    }
    let id = shared.new_run();
    let cursor = (state.settings.exit_layer, state.settings.num_speculations);
    let sweep = Sweep::new(id, text, layers, cursor);
    let pairs = sweep.pairs();
    state.overlay = Some(Overlay::Sweep(Box::new(sweep)));
    Some(Effect::Send(Command::Start {
        run: id,
        conversation: CONVERSATION,
        task: Task::Sweep { prompt, pairs },
        settings: Arc::new(state.settings.clone()),
    }))
}

/// Opens a sweep that was read from a file.
pub(super) fn open(state: &mut State, title: String, rows: &[SweepRow], plain: Option<f64>) {
    if rows.is_empty() {
        state.notify_error(format!("{title} has no measured cells"));
        return;
    }
    state.overlay = Some(Overlay::Sweep(Box::new(Sweep::of_rows(title, rows, plain))));
}

fn sweep(state: &mut State) -> Option<&mut Sweep> {
    match &mut state.overlay {
        Some(Overlay::Sweep(sweep)) => Some(sweep),
        _ => None,
    }
}

/// Handles events of the sweep. Late ones are dropped.
pub(super) fn on_event(state: &mut State, event: RunEvent) {
    let Some(sweep) = sweep(state).filter(|sweep| sweep.outcome.is_none()) else {
        return;
    };
    match event {
        RunEvent::Sweep(cell) => sweep.add(&cell),
        RunEvent::Finished { reason, .. } => sweep.outcome = Some(Outcome::Stopped(reason)),
        RunEvent::Failed(failure) => sweep.outcome = Some(Outcome::Failed(failure.message)),
        _ => {}
    }
}

/// Ends the sweep but leaves its measurements on screen; `None` if none is running.
pub(super) fn cancel(state: &mut State) -> Option<Effect> {
    let sweep = sweep(state).filter(|sweep| sweep.outcome.is_none())?;
    sweep.outcome = Some(Outcome::Stopped(StopReason::Cancelled));
    let run: RunId = sweep.run?;
    Some(Effect::Send(Command::Cancel { run }))
}

/// Ends the sweep after the engine's thread has ended.
pub(super) fn on_gone(state: &mut State, message: &str) {
    if let Some(sweep) = sweep(state).filter(|sweep| sweep.outcome.is_none()) {
        sweep.outcome = Some(Outcome::Failed(message.to_owned()));
    }
}

/// The keys of the map.
pub(super) fn act(state: &mut State, shared: &Shared, action: WhatIfAction) -> Reply {
    let Some(sweep) = sweep(state) else {
        return Reply::none();
    };
    match action {
        WhatIfAction::CellUp => sweep.move_by(-1, 0),
        WhatIfAction::CellDown => sweep.move_by(1, 0),
        WhatIfAction::CellPageUp => sweep.move_by(-PAGE, 0),
        WhatIfAction::CellPageDown => sweep.move_by(PAGE, 0),
        WhatIfAction::CellLeft => sweep.move_by(0, -1),
        WhatIfAction::CellRight => sweep.move_by(0, 1),
        WhatIfAction::BestCell => sweep.cursor = sweep.best().unwrap_or(sweep.cursor),
        WhatIfAction::RaceCell => {
            let (exit_layer, num_speculations) = sweep.cursor;
            let pair = Opponent::Pair(exit_layer, num_speculations);
            return Reply::then(ChatAction::RaceAgainst(pair));
        }
        WhatIfAction::ApplyCell => {
            let (exit_layer, num_speculations) = sweep.cursor;
            let cancelled = cancel(state);
            return Reply::from(cancelled).and(apply(state, shared, exit_layer, num_speculations));
        }
    }
    Reply::none()
}

/// A click moves the cursor to a cell; on the cell under the cursor, it applies the settings.
pub(super) fn click(state: &mut State, cell: (usize, usize)) -> Reply {
    match sweep(state) {
        Some(sweep) if sweep.cursor == cell => Reply::then(WhatIfAction::ApplyCell),
        Some(sweep) => {
            sweep.cursor = cell;
            Reply::none()
        }
        None => Reply::none(),
    }
}

/// Applies the settings of a cell, as one change to undo, and closes the map.
pub(super) fn apply(
    state: &mut State,
    shared: &Shared,
    exit_layer: usize,
    num_speculations: usize,
) -> Effect {
    state.overlay = None;
    let applied = controls::set_all(
        state,
        &[
            (Control::Strategy, Strategy::SelfSpeculative as usize as f64),
            (Control::ExitLayer, exit_layer as f64),
            (Control::Speculations, num_speculations as f64),
        ],
    );
    state.notify(format!(
        "E {exit_layer}, K {num_speculations}; {}",
        controls::way_back(shared)
    ));
    applied
}
