//! Loading a model, and cancelling a load.

use super::run;
use crate::app::message::Effect;
use crate::app::state::{Overlay, Phase, State};
use crate::engine::loaded_model::ModelRequest;
use crate::engine::worker::Command;

/// Loads another model in place of the current one.
pub(super) fn load(state: &mut State, model: Option<String>) -> Vec<Effect> {
    let mut effects = run::stop(state);
    if state.model.take().is_some() {
        state.previous = Some(state.request.clone());
    }
    let request = ModelRequest {
        model,
        ..state.request.clone()
    };
    effects.push(begin(state, request));
    effects
}

fn begin(state: &mut State, request: ModelRequest) -> Effect {
    state.request = request.clone();
    state.last_run = None;
    state.phase = Phase::opening();
    Effect::Send(Command::Load(request))
}

/// Cancels a running load. The engine confirms it.
pub(super) fn cancel(state: &mut State) -> Option<Effect> {
    // While the connection is lost nothing is loading, and the client connects again by itself.
    if state.remote.as_ref().is_some_and(|remote| remote.is_lost) {
        return None;
    }
    match &mut state.phase {
        Phase::Loading { cancelling, .. } if !*cancelling => {
            *cancelling = true;
            state.send_when_loaded = false;
            Some(Effect::Send(Command::CancelLoad))
        }
        _ => None,
    }
}

/// A prompt that waits for the model has changed, so it is not sent by itself.
pub(super) fn keep_back(state: &mut State) {
    state.send_when_loaded = false;
    state.notify("the prompt has changed, so it is no longer sent by itself");
}

pub(super) fn on_progress(state: &mut State, stage: String, fraction: Option<f32>) {
    if let Phase::Loading { cancelling, .. } = state.phase {
        state.phase = Phase::Loading {
            stage,
            fraction,
            cancelling,
        };
    }
}

/// The engine has cancelled a load. No effect if a newer request is loading.
pub(super) fn on_cancelled(state: &mut State) -> Vec<Effect> {
    if !matches!(
        state.phase,
        Phase::Loading {
            cancelling: true,
            ..
        }
    ) {
        return Vec::new();
    }
    if let Some(previous) = state.previous.take() {
        state.notify("loading cancelled; back to the previous model");
        return vec![begin(state, previous)];
    }
    let message =
        "Loading was cancelled. What was downloaded is kept; the next download resumes there."
            .to_string();
    state.phase = Phase::Failed {
        message,
        engine_lives: true,
    };
    Vec::new()
}

/// A model could not be found or read. Reloads the previous one; the message stays on screen.
pub(super) fn on_failed(state: &mut State, message: String) -> Vec<Effect> {
    state.send_when_loaded = false;
    let Some(previous) = state.previous.take() else {
        let message = format!("The model could not be loaded.\n\n{message}");
        state.phase = Phase::Failed {
            message,
            engine_lives: true,
        };
        return Vec::new();
    };
    let mut lines: Vec<String> = message.lines().map(str::to_string).collect();
    lines.extend([String::new(), "The previous model is loaded again.".into()]);
    state.overlay = Some(Overlay::Text {
        title: "the model could not be loaded".into(),
        lines,
        scroll: 0,
        by_itself: true,
    });
    vec![begin(state, previous)]
}
