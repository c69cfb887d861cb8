//! Coming to a model: loading, giving that up, and what is offered where it does not work.

use super::message::Effect;
use super::state::{Overlay, Phase, State};
use super::talk;
use crate::engine::loaded_model::ModelRequest;
use crate::engine::weights::PUBLISHED_MODEL;
use crate::engine::worker::Command;

/// A model that one key loads where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub model: Option<String>,
    /// What the key does, in a few words.
    pub label: String,
}

impl Phase {
    /// Loading, nothing yet known of it.
    pub(super) fn opening() -> Self {
        Self::Loading {
            stage: "opening the model".into(),
            fraction: None,
            cancelling: false,
        }
    }
}

impl State {
    /// What Enter loads while the prompt is empty: where no model could be had, one that can be fetched.
    pub fn offer(&self) -> Option<Offer> {
        if !matches!(
            self.phase,
            Phase::Failed {
                engine_lives: true,
                ..
            }
        ) || self.model.is_some()
        {
            return None;
        }
        let published = Some(PUBLISHED_MODEL.to_string());
        let offer = |model, label: &str| {
            Some(Offer {
                model,
                label: label.into(),
            })
        };
        match self.request.model.as_deref() {
            None => offer(published, "fetch the published model"),
            Some(PUBLISHED_MODEL) => offer(published, "try again"),
            Some(_) => offer(None, "load the bundled model"),
        }
    }
}

/// Load another model in place of the present one.
pub(super) fn load(state: &mut State, model: Option<String>) -> Vec<Effect> {
    let mut effects = talk::stop(state);
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

/// Give up the load under way, if there is one. The engine says when it has.
pub(super) fn cancel(state: &mut State) -> Option<Vec<Effect>> {
    match &mut state.phase {
        Phase::Loading { cancelling, .. } if !*cancelling => {
            *cancelling = true;
            state.queued = false;
            Some(vec![Effect::Send(Command::CancelLoad)])
        }
        _ => None,
    }
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

/// The engine has given a load up. What was asked for since goes on.
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
        state.say("loading was cancelled; back to the model before");
        return vec![begin(state, previous)];
    }
    let message = "Loading was cancelled. What was downloaded is kept and continued the next time."
        .to_string();
    state.phase = Phase::Failed {
        message,
        engine_lives: true,
    };
    Vec::new()
}

/// There is no such model, or it cannot be read. The one before is taken up again; the words stay to be read.
pub(super) fn on_failed(state: &mut State, message: String) -> Vec<Effect> {
    state.queued = false;
    let Some(previous) = state.previous.take() else {
        let message = format!("The model could not be loaded.\n\n{message}");
        state.phase = Phase::Failed {
            message,
            engine_lives: true,
        };
        return Vec::new();
    };
    let mut lines: Vec<String> = message.lines().map(str::to_string).collect();
    lines.extend([String::new(), "The model before is loaded again.".into()]);
    state.overlay = Some(Overlay::Text {
        title: "the model could not be loaded".into(),
        lines,
        scroll: 0,
    });
    vec![begin(state, previous)]
}
