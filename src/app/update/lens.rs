//! The lens view: opening it, moving its cursor, applying a layer.

use super::reply::Reply;
use super::{controls, navigation, what_if};
use crate::app::controls::Control;
use crate::app::input::action::{LensAction, Pane};
use crate::app::message::Effect;
use crate::app::state::lens_view::{LensView, Measure};
use crate::app::state::{Lens, Overlay, Shared, State};

/// Tokens that a page key moves by.
const PAGE: isize = 10;

/// Opens the lens at the token under the cursor, or at the end of the newest answer.
pub(super) fn open(state: &mut State, shared: &mut Shared) -> Option<Effect> {
    let has_rows = |lens: &Lens| !lens.rows.is_empty();
    let chosen = state.view.cursor.and_then(|at| {
        let turn = state.turns.get(at.turn)?;
        let lens = turn.lens.as_deref().filter(|lens| has_rows(lens))?;
        let round = turn.rounds.get(at.round)?;
        let place = round.token(at.slot)?.draft_position;
        let position = round.position + place.unwrap_or(round.len().saturating_sub(1));
        let row = lens.rows.partition_point(|row| row.position < position);
        Some((turn.id, row))
    });
    let effect = match chosen {
        Some(_) => None,
        None => {
            let (run, task) = what_if::askable(state, shared)?;
            what_if::request(state, run, task)
        }
    };
    let last = state.turns.last()?;
    let (turn, row) = chosen.unwrap_or((last.id, usize::MAX));
    state.overlay = Some(Overlay::Lens(LensView {
        turn,
        row,
        layer: state.settings.exit_layer,
        measure: Measure::Agreement,
    }));
    effect
}

pub(super) fn act(state: &mut State, shared: &Shared, action: LensAction) -> Reply {
    match action {
        LensAction::LayerUp => step(state, 0, 1),
        LensAction::LayerDown => step(state, 0, -1),
        LensAction::LensLeft => step(state, -1, 0),
        LensAction::LensRight => step(state, 1, 0),
        LensAction::LensPageLeft => step(state, -PAGE, 0),
        LensAction::LensPageRight => step(state, PAGE, 0),
        LensAction::LensStart => step(state, isize::MIN, 0),
        LensAction::LensEnd => step(state, isize::MAX, 0),
        LensAction::EarliestLayer => to_earliest(state),
        LensAction::ToggleMeasure => {
            if let Some(Overlay::Lens(view)) = &mut state.overlay {
                view.measure = match view.measure {
                    Measure::Agreement => Measure::Probability,
                    Measure::Probability => Measure::Agreement,
                };
            }
        }
        LensAction::InspectToken => inspect(state, shared),
        LensAction::ApplyLayer => return apply(state),
    }
    Reply::none()
}

/// Moves the cursor by tokens and layers.
pub(super) fn step(state: &mut State, tokens: isize, layers: isize) {
    let deepest = state.layers().unwrap_or(1).max(1);
    let Some(Overlay::Lens(view)) = state.overlay else {
        return;
    };
    let Some(last) = rows(state, view).checked_sub(1) else {
        return;
    };
    let row = view.row.min(last).saturating_add_signed(tokens).min(last);
    let layer = view.layer.saturating_add_signed(layers).clamp(1, deepest);
    state.overlay = Some(Overlay::Lens(LensView { row, layer, ..view }));
}

fn rows(state: &State, view: LensView) -> usize {
    let turn = state.turn_of(view.turn).map(|(_, turn)| turn);
    let lens = turn.and_then(|turn| turn.lens.as_ref());
    lens.map_or(0, |lens| lens.rows.len())
}

fn to_earliest(state: &mut State) {
    let Some(Overlay::Lens(view)) = state.overlay else {
        return;
    };
    let turn = state.turn_of(view.turn).map(|(_, turn)| turn);
    let lens = turn.and_then(|turn| turn.lens.as_ref());
    let row = lens.and_then(|lens| lens.rows.get(view.row).or(lens.rows.last()));
    if let Some(layer) = row.and_then(|row| row.earliest()) {
        state.overlay = Some(Overlay::Lens(LensView { layer, ..view }));
    }
}

/// Closes the view and puts the token cursor on its token.
fn inspect(state: &mut State, shared: &Shared) {
    let Some(Overlay::Lens(view)) = state.overlay else {
        return;
    };
    let token = state.turn_of(view.turn).and_then(|(index, turn)| {
        let rows = &turn.lens.as_ref()?.rows;
        let row = rows.get(view.row).or(rows.last())?;
        turn.token_at(index, row.position)
    });
    if token.is_some_and(|at| navigation::is_shown(state, shared.display, at)) {
        state.overlay = None;
        state.focus = Pane::Chat;
        state.view.cursor = token;
        state.view.reveal = true;
    }
}

/// Makes the layer under the cursor the exit layer.
fn apply(state: &mut State) -> Reply {
    let Some(Overlay::Lens(view)) = state.overlay else {
        return Reply::none();
    };
    if !state.live {
        state.notify("a replay cannot be changed");
        return Reply::none();
    }
    if state.layers().is_some_and(|layers| view.layer >= layers) {
        state.notify_error(format!(
            "layer {} is the last one, which verifies; an exit layer is below it",
            view.layer
        ));
        return Reply::none();
    }
    state.overlay = None;
    let effects = controls::set(state, Control::ExitLayer, view.layer as f64);
    state.notify(format!("exit layer {}", state.settings.exit_layer));
    effects.into()
}

/// A click moves the cursor to a cell; on the cell under the cursor, it inspects the token.
pub(super) fn click(state: &mut State, shared: &Shared, row: usize, layer: usize) {
    let Some(Overlay::Lens(view)) = &mut state.overlay else {
        return;
    };
    match (view.row, view.layer) == (row, layer) {
        true => inspect(state, shared),
        false => (view.row, view.layer) = (row, layer),
    }
}
