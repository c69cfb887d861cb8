//! The what-if map: requesting the lens, receiving it, choosing a cell.

use super::reply::Reply;
use super::{race, sweep};
use crate::app::available::can_ask_what_if;
use crate::app::input::action::{ChatAction, Opponent, WhatIfAction};
use crate::app::message::Effect;
use crate::app::state::what_if::MAX_SPECULATIONS;
use crate::app::state::{CONVERSATION, Lens, Overlay, Shared, State, WhatIf};
use crate::engine::decode::{CostModel, LensRow, Round};
use crate::engine::worker::{Command, RunId, Task};
use std::sync::Arc;

/// Exit layers that a page key moves by.
const PAGE: isize = 4;

pub(super) fn act(state: &mut State, shared: &Shared, action: WhatIfAction) -> Reply {
    let Some(Overlay::WhatIf(map)) = state.overlay else {
        return Reply::none();
    };
    match action {
        WhatIfAction::CellUp => step(state, -1, 0),
        WhatIfAction::CellDown => step(state, 1, 0),
        WhatIfAction::CellPageUp => step(state, -PAGE, 0),
        WhatIfAction::CellPageDown => step(state, PAGE, 0),
        WhatIfAction::CellLeft => step(state, 0, -1),
        WhatIfAction::CellRight => step(state, 0, 1),
        WhatIfAction::BestCell => to_best(state),
        WhatIfAction::RaceCell => {
            let pair = Opponent::Pair(map.exit_layer, map.num_speculations);
            return Reply::then(ChatAction::RaceAgainst(pair));
        }
        WhatIfAction::ApplyCell => {
            return sweep::apply(state, shared, map.exit_layer, map.num_speculations).into();
        }
    }
    Reply::none()
}

/// Opens the map at the current settings.
pub(super) fn open(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    let (run, task) = askable(state, shared)?;
    let exit_layer = state.settings.exit_layer;
    let num_speculations = state.settings.num_speculations.min(MAX_SPECULATIONS);
    state.overlay = Some(Overlay::WhatIf(WhatIf {
        run,
        exit_layer,
        num_speculations,
    }));
    request(state, run, task)
}

/// The run to analyse and the task for it. Shows a notice if there is none.
pub(super) fn askable(state: &mut State, shared: &mut Shared) -> Option<(RunId, Task)> {
    if !can_ask_what_if(state) {
        state.notify_error(match state.live {
            false => "the journal has no layer predictions here; open what if while an answer is new to record them",
            true => "this model has no answer to analyse; ask something first",
        });
        return None;
    }
    let turn = state.turns.last()?;
    if let Some(run) = turn.run.filter(|_| turn.run == state.last_run) {
        return Some((run, Task::Lens));
    }
    // An answer from a file, or another variant: the engine must compute it first.
    let answer = turn.rounds.iter().flat_map(Round::kept);
    let task = Task::LensOf {
        answer: answer.map(|token| token.id).collect(),
        prompt: race::prompt_of(state, state.turns.len() - 1)?,
    };
    let run = shared.new_run();
    state.turns.last_mut()?.run = Some(run);
    state.last_run = Some(run);
    Some((run, task))
}

/// Requests the lens, unless it exists or is being computed. A failed one is requested again.
pub(super) fn request(state: &mut State, run: RunId, task: Task) -> Option<Effect> {
    if !state.live {
        return None;
    }
    let fallback = &state.settings;
    let turn = state.turns.last_mut()?;
    let reads = matches!(task, Task::LensOf { .. });
    let there = |lens: &Lens| lens.failed.is_none() && (lens.complete() || !reads);
    if turn.lens.as_deref().is_some_and(there) {
        return None;
    }
    turn.lens = Some(Box::default());
    let settings = turn.rounds.last().map_or_else(
        || Arc::new(fallback.clone()),
        |round| round.settings.clone(),
    );
    Some(Effect::Send(Command::Start {
        run,
        conversation: CONVERSATION,
        task,
        settings,
    }))
}

/// Takes rows of the lens. Late ones, of a turn that no longer exists, are dropped.
pub(super) fn on_lens(
    state: &mut State,
    run: RunId,
    rows: Vec<LensRow>,
    of: usize,
    costs: CostModel,
) {
    let asked = state.lens_turn().is_some_and(|turn| turn.run == Some(run));
    if let Some(lens) = state
        .turns
        .last_mut()
        .filter(|_| asked)
        .and_then(|turn| turn.lens.as_mut())
    {
        lens.add(rows, of, costs);
    }
}

/// Records that the lens failed; false if the failure belongs to something else.
pub(super) fn on_failed(state: &mut State, run: RunId, message: &str) -> bool {
    let waits = state.lens_pending() && state.last_run == Some(run) && state.run().is_none();
    if let Some(lens) = state
        .turns
        .last_mut()
        .filter(|_| waits)
        .and_then(|turn| turn.lens.as_mut())
    {
        lens.failed = Some(message.to_string());
    }
    waits
}

/// Moves the cursor within the map.
pub(super) fn step(state: &mut State, exit: isize, speculations: isize) {
    let last = state.layers().unwrap_or(2).saturating_sub(1).max(1);
    if let Some(Overlay::WhatIf(map)) = &mut state.overlay {
        map.exit_layer = map.exit_layer.saturating_add_signed(exit).clamp(1, last);
        map.num_speculations = map
            .num_speculations
            .saturating_add_signed(speculations)
            .clamp(1, MAX_SPECULATIONS);
    }
}

fn to_best(state: &mut State) {
    let forecasts = state.lens_turn().map(|turn| state.forecasts(turn));
    let best = forecasts
        .as_ref()
        .and_then(|forecasts| forecasts.best())
        .map(|best| (best.exit_layer, best.num_speculations));
    if let (Some(best), Some(Overlay::WhatIf(map))) = (best, &mut state.overlay) {
        (map.exit_layer, map.num_speculations) = best;
    }
}

/// A click moves the cursor to a cell; on the cell under the cursor, it applies the settings.
pub(super) fn click(state: &mut State, exit_layer: usize, num_speculations: usize) -> Reply {
    let Some(Overlay::WhatIf(map)) = &mut state.overlay else {
        return Reply::none();
    };
    if (map.exit_layer, map.num_speculations) == (exit_layer, num_speculations) {
        return Reply::then(WhatIfAction::ApplyCell);
    }
    (map.exit_layer, map.num_speculations) = (exit_layer, num_speculations);
    Reply::none()
}
