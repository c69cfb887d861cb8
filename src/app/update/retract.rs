//! Taking turns off the chat so that they can be restored.

use super::run;
use crate::app::input::action::{AppAction, Pane};
use crate::app::message::Effect;
use crate::app::state::{Retracted, Shared, State, Subject, Turn};

/// Keeps turns that were taken off the end of the chat.
pub(super) fn keep(state: &mut State, turns: Vec<Turn>, draft: Option<String>) -> &mut Retracted {
    let kept = state.retracted.get_or_insert(Retracted {
        turns: Vec::new(),
        draft,
        whole: false,
    });
    kept.turns.splice(0..0, turns);
    kept
}

/// Restores the retracted turns and the previous text of the prompt.
pub(super) fn restore(state: &mut State) {
    if let Some(kept) = state.retracted.take() {
        state.turns.extend(kept.turns);
        if let Some(draft) = kept.draft {
            state.prompt.set(draft);
        }
        state.view.top = None;
    }
}

/// Clears the chat; this can be undone. The next question starts a new session.
pub(super) fn clear(state: &mut State, shared: &Shared) -> Vec<Effect> {
    if !run::has_asked(state) {
        return Vec::new();
    }
    let effects = run::stop(state);
    let turns = std::mem::take(&mut state.turns);
    keep(state, turns, None).whole = true;
    run::clear(state);
    let back = shared.key_name(Pane::Prompt, AppAction::Back);
    state.notify(format!("chat cleared; {back} in the prompt undoes that"));
    state.notice_is_about(Subject::Retracted);
    effects
}
