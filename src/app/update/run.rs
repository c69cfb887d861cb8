//! The running generation: whether one can start, its messages, and cancelling it.

use crate::app::input::action::AppAction;
use crate::app::message::Effect;
use crate::app::state::turn::Outcome;
use crate::app::state::{Phase, Shared, State, Subject, Turn};
use crate::engine::decode::StopReason;
use crate::engine::prompt::{Message, Role};
use crate::engine::worker::Command;

/// Whether a replay can take the screen now. Shows a notice if not.
pub(super) fn is_quiet(state: &mut State) -> bool {
    let busy = state.run().is_some() || state.side_run().is_some();
    if busy {
        state.notify_error("an answer is being written; cancel it before you replay a session");
        state.notice_is_about(Subject::Answer);
    }
    !busy
}

/// Whether a run can start now. Shows a notice if not.
pub(super) fn ready(state: &mut State, shared: &Shared) -> bool {
    let key = |action: AppAction| shared.key_name(state.context(), action);
    let (why, about) = match &state.phase {
        Phase::Loading { .. } => {
            let why = match &state.remote {
                Some(remote) if remote.is_lost => {
                    format!("there is no connection to {}", remote.host)
                }
                _ => "the model is still loading".to_string(),
            };
            (why, Some(Subject::Loading))
        }
        _ if state.run().is_some() => {
            let back = key(AppAction::Back);
            let why = format!("an answer is being written; {back} cancels it");
            (why, Some(Subject::Answer))
        }
        _ if state.model.is_none() => {
            let models = key(AppAction::Models);
            let why = format!("no model is loaded; {models} or /model chooses one");
            (why, None)
        }
        _ => return true,
    };
    state.notify_error(why);
    if let Some(about) = about {
        state.notice_is_about(about);
    }
    false
}

/// The turns `before` as messages, and a question. Turns without an answer are omitted.
pub(super) fn conversation<'a>(
    state: &State,
    before: impl IntoIterator<Item = &'a Turn>,
    question: String,
) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut push = |role, content: String| messages.push(Message { role, content });
    if !state.system.trim().is_empty() {
        push(Role::System, state.system.clone());
    }
    for turn in before.into_iter().filter(|turn| turn.is_said()) {
        push(Role::User, turn.prompt.clone());
        push(Role::Assistant, turn.answer());
    }
    push(Role::User, question);
    messages
}

/// Cancels the run. The second call ends it without waiting for the engine.
pub(super) fn cancel(state: &mut State) -> Vec<Effect> {
    let Some(run) = state.run() else {
        return Vec::new();
    };
    if run.cancelling {
        end(state, Outcome::Stopped(StopReason::Cancelled));
        state.phase = Phase::Idle;
        return Vec::new();
    }
    if let Phase::Prefill { run, .. } | Phase::Generating { run } | Phase::Paused { run } =
        &mut state.phase
    {
        run.cancelling = true;
    }
    vec![Effect::Send(Command::Cancel { run: run.id })]
}

/// Whether anything was asked yet. Shows a notice if not.
pub(super) fn has_asked(state: &mut State) -> bool {
    if state.turns.is_empty() {
        state.notify_error("nothing was asked yet");
    }
    !state.turns.is_empty()
}

/// Starts an empty chat.
pub(super) fn clear(state: &mut State) -> Vec<Effect> {
    let effects = cancel(state);
    state.turns.clear();
    state.drop_oldest = false;
    state.view.top = None;
    state.view.cursor = None;
    if state.run().is_some() {
        state.phase = Phase::Idle;
    }
    effects
}

/// Resumes a saved session, unless an answer is running.
pub(super) fn load_session(state: &mut State, name: String) -> Option<Effect> {
    if state.run().is_some() {
        state.notify_error("an answer is being written; cancel it before you open another session");
        state.notice_is_about(Subject::Answer);
        return None;
    }
    Some(Effect::LoadSession(name))
}

/// Ends the run without waiting for the engine.
pub(super) fn stop(state: &mut State) -> Vec<Effect> {
    let effects = cancel(state);
    if state.run().is_some() {
        end(state, Outcome::Stopped(StopReason::Cancelled));
    }
    effects
}

/// Ends the last turn. Drops drafts that were never verified.
pub(super) fn end(state: &mut State, outcome: Outcome) {
    if let Some(turn) = state.turns.last_mut() {
        turn.pending.clear();
        turn.outcome = Some(outcome);
    }
}
