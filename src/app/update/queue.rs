//! Questions that wait for the running answer.

use super::{chat, run};
use crate::app::message::Effect;
use crate::app::state::{Shared, State, Subject};
use crate::transcript::Entry;

/// Queues the text of the prompt.
pub(super) fn add(state: &mut State) -> Effect {
    let text = state.prompt.take();
    state.queued.push(text);
    state.notify("this is sent when the answer ends");
    state.notice_is_about(Subject::Queued(state.queued.len()));
    record(state)
}

/// Sends the first question, if any, once the engine is free.
pub(super) fn send(state: &mut State, shared: &mut Shared) -> Vec<Effect> {
    if state.queued.is_empty() || !run::ready(state, shared) {
        return Vec::new();
    }
    let text = state.queued.remove(0);
    let mut effects = chat::ask(state, shared, text);
    effects.push(record(state));
    effects
}

/// Moves the last question into the prompt. Text in the prompt takes its place in the queue.
pub(super) fn edit(state: &mut State) -> Option<Effect> {
    let text = take(state)?;
    let written = state.prompt.take();
    if !written.trim().is_empty() {
        state.queued.push(written);
    }
    state.prompt.set(text);
    Some(record(state))
}

/// Removes the last question; it stays in the history of the prompt.
pub(super) fn remove(state: &mut State) -> Option<Effect> {
    let text = take(state)?;
    state.prompt.remember(&text);
    state.notify("removed from the queue");
    Some(record(state))
}

/// Takes the last question. Shows a notice if there is none.
fn take(state: &mut State) -> Option<String> {
    let text = state.queued.pop();
    state.drop_stale_notice();
    if text.is_none() {
        state.notify("no question is queued");
    }
    text
}

/// Records the queue in the journal, so that quitting loses no question.
fn record(state: &State) -> Effect {
    Effect::Record(Entry::Queued(state.queued.clone()))
}
