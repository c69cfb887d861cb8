//! A remote server: losing and restoring the connection, and watching the requests of others.

use super::what_if;
use crate::app::message::Link;
use crate::app::state::turn::Outcome;
use crate::app::state::{Mode, Phase, Remote, Shared, State, Turn};
use crate::remote::{Said, Watched};
use crate::transcript::ModelRecord;
use std::sync::Arc;

/// Max turns kept while watching.
const MAX_TURNS: usize = 200;

/// Handles a change of the connection. The engine has already reported the runs that it ended.
pub(super) fn on_link(state: &mut State, link: Link) {
    let Some(remote) = state.remote.clone() else {
        return;
    };
    let Remote { host, watches, .. } = remote;
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
        }
        Link::GivenUp(message) => {
            forget(state);
            state.model = None;
            state.phase = Phase::Failed {
                message,
                engine_lives: true,
            };
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
    let Some(remote) = &mut state.remote else {
        return;
    };
    for (_, id) in std::mem::take(&mut remote.requests) {
        let turn = state.turns.iter_mut().find(|turn| turn.id == id);
        if let Some(turn) = turn {
            let message = "interrupted: the connection was lost";
            turn.outcome = Some(Outcome::Failed(message.into()));
        }
    }
}

/// Something happened to a request of another client.
pub(super) fn on_watched(state: &mut State, shared: &mut Shared, request: u64, said: Said) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    let known = remote.requests.iter().find(|(known, _)| *known == request);
    let id = match (known, &said) {
        (Some((_, id)), _) => *id,
        (None, Said::Begun(_)) => {
            let id = shared.new_turn();
            remote.requests.push((request, id));
            id
        }
        // Its beginning was missed, or it is over.
        (None, _) => return,
    };
    let turn = state.turns.iter_mut().find(|turn| turn.id == id);
    match said {
        Said::Begun(watched) => begin(state, id, watched),
        Said::Round(round) => {
            // The controls show how it is decoded.
            state.settings = (*round.settings).clone();
            if let Some(turn) = turn {
                turn.push(*round);
            }
        }
        Said::Ended(reason) => end(state, request, Outcome::Stopped(reason)),
        Said::Failed(message) => end(state, request, Outcome::Failed(message)),
    }
}

fn begin(state: &mut State, id: u64, watched: Watched) {
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
    let mut turn = Turn::new(id, mode, prompt);
    turn.model = Some(Arc::new(ModelRecord {
        name: model,
        ..ModelRecord::default()
    }));
    let surplus = (state.turns.len() + 1).saturating_sub(MAX_TURNS);
    if surplus > 0 {
        state.turns.drain(..surplus);
        // They name turns by their indices.
        (state.view.cursor, state.view.top) = (None, None);
    }
    state.turns.push(turn);
}

fn end(state: &mut State, request: u64, outcome: Outcome) {
    let Some(remote) = &mut state.remote else {
        return;
    };
    let at = remote
        .requests
        .iter()
        .position(|(known, _)| *known == request);
    let Some((_, id)) = at.map(|at| remote.requests.swap_remove(at)) else {
        return;
    };
    if let Some(turn) = state.turns.iter_mut().find(|turn| turn.id == id) {
        turn.outcome = Some(outcome);
    }
}
