//! A remote server: losing and restoring the connection, and watching the requests of others.

use super::what_if;
use crate::app::message::Link;
use crate::app::state::turn::Outcome;
use crate::app::state::{Mode, Phase, Request, Shared, State, Turn};
use crate::engine::decode::Round;
use crate::engine::loaded_model::ModelInfo;
use crate::plural::counted;
use crate::remote::{Said, Watched};
use crate::transcript::ModelRecord;
use std::sync::Arc;

/// Max turns kept while watching.
const MAX_TURNS: usize = 200;

/// Handles a change of the connection. The engine has already reported the runs that it ended.
pub(super) fn on_link(state: &mut State, link: Link) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    remote.is_lost = link != Link::Restored;
    let (host, watches) = (remote.host.clone(), remote.watches);
    match link {
        Link::Lost(why) => {
            forget(state);
            if !matches!(state.phase, Phase::Loading { .. }) {
                state.notify_error(format!("{host}: {why}"));
            }
            state.phase = Phase::Loading {
                stage: why,
                fraction: None,
                cancelling: false,
            };
        }
        Link::Restored => {
            state.notify(format!("connected to {host} again"));
            state.phase = match watches {
                true => Phase::Idle,
                false => Phase::opening(),
            };
            if watches {
                state.focus = state.home();
            }
        }
        Link::GivenUp(message) => {
            forget(state);
            state.model = None;
            state.phase = Phase::Failed {
                message,
                engine_lives: true,
            };
            // Enter there connects again.
            state.focus = state.home();
        }
    }
}

/// The server's cache for this client is gone with the connection.
fn forget(state: &mut State) {
    if let Some(run) = state.last_run.take().filter(|_| state.lens_pending()) {
        what_if::on_failed(state, run, "the connection was lost");
    }
    if let Some(turn) = state.turns.last_mut()
        && let Some(lens) = turn.lens.as_mut().filter(|lens| !lens.complete())
    {
        lens.failed = Some("the connection was lost".into());
    }
    state.previous = None;
    end_all(state, "the connection was lost", |_| true);
}

/// Ends watched requests whose end will not be reported.
fn end_all(state: &mut State, message: &str, ended: impl Fn(u64) -> bool) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    let (over, open) = std::mem::take(&mut remote.requests)
        .into_iter()
        .partition(|request| ended(request.number));
    remote.requests = open;
    let over: Vec<Request> = over;
    for request in over {
        if let Some(turn) = turn_of(state, request.turn) {
            turn.outcome = Some(Outcome::Failed(message.into()));
        }
    }
}

/// Something happened to a request of another client.
pub(super) fn on_watched(state: &mut State, shared: &mut Shared, number: u64, said: Said) {
    let Some(remote) = &state.remote else { return };
    let known = remote.requests.iter().find(|known| known.number == number);
    match (known.map(|request| request.turn), said) {
        (None, Said::Begun(watched)) => begin(state, shared, number, watched),
        // It was reported to be in progress before, or its beginning was missed.
        (Some(_), Said::Begun(_)) | (None, _) => {}
        (Some(turn), Said::Round(round)) => on_round(state, turn, *round),
        (Some(_), Said::Ended(reason)) => end(state, number, Outcome::Stopped(reason)),
        (Some(_), Said::Failed(message)) => end(state, number, Outcome::Failed(message)),
    }
}

/// Reports were left out; those requests are in progress.
pub(super) fn on_missed(
    state: &mut State,
    shared: &mut Shared,
    reports: u64,
    open: Vec<(u64, Watched)>,
) {
    let were = if reports == 1 { "was" } else { "were" };
    let left_out = counted(usize::try_from(reports).unwrap_or(usize::MAX), "report");
    state.notify_error(format!(
        "{left_out} {were} left out: the connection is too slow"
    ));
    let message = "its end was missed: the connection is too slow";
    end_all(state, message, |number| {
        open.iter().all(|(open, _)| *open != number)
    });
    let continued = state.remote.iter().flat_map(|remote| &remote.requests);
    let continued: Vec<u64> = continued.map(|request| request.turn).collect();
    for id in continued {
        if let Some(turn) = turn_of(state, id) {
            turn.gaps.push(turn.rounds.len());
        }
    }
    for (number, watched) in open {
        on_watched(state, shared, number, Said::Begun(watched));
    }
}

fn begin(state: &mut State, shared: &mut Shared, number: u64, watched: Watched) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    let Watched {
        prompt,
        chat,
        model,
        ..
    } = watched;
    let mode = match chat {
        true => Mode::Chat,
        false => Mode::Completion,
    };
    let mut turn = Turn::new(shared.new_turn(), mode, prompt);
    let record = ModelRecord::from(&*model);
    state.shapes.add(record.clone(), &model.config);
    turn.model = Some(Arc::new(record));
    show_model(&mut state.model, &model);
    remote.requests.push(Request {
        number,
        turn: turn.id,
        model,
    });
    let surplus = (state.turns.len() + 1).saturating_sub(MAX_TURNS);
    if surplus > 0 {
        for gone in state.turns.drain(..surplus) {
            remote.requests.retain(|request| request.turn != gone.id);
        }
        // They name turns by their indices.
        (state.view.cursor, state.view.top) = (None, None);
    }
    state.turns.push(turn);
}

/// One more round of the request with that turn. Header and controls show how it is decoded.
fn on_round(state: &mut State, turn: u64, round: Round) {
    let mut requests = state.remote.iter().flat_map(|remote| &remote.requests);
    if let Some(request) = requests.find(|request| request.turn == turn) {
        show_model(&mut state.model, &request.model);
    }
    state.settings = (*round.settings).clone();
    if let Some(turn) = turn_of(state, turn) {
        turn.push(round);
    }
}

fn show_model(shown: &mut Option<ModelInfo>, model: &ModelInfo) {
    if shown.as_ref() != Some(model) {
        *shown = Some(model.clone());
    }
}

fn end(state: &mut State, number: u64, outcome: Outcome) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    let mut requests = remote.requests.iter();
    let at = requests.position(|request| request.number == number);
    let Some(request) = at.map(|at| remote.requests.swap_remove(at)) else {
        return;
    };
    if let Some(turn) = turn_of(state, request.turn) {
        turn.outcome = Some(outcome);
    }
}

/// The turn with that id, if it is still kept.
fn turn_of(state: &mut State, id: u64) -> Option<&mut Turn> {
    state.turns.iter_mut().find(|turn| turn.id == id)
}
