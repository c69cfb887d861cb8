//! What was taken off the chat and can come back: an answer given up for another prompt, a chat that was cleared.

use super::action::{Action, Pane};
use super::message::Effect;
use super::state::State;
use super::talk;
use super::turn::Turn;

/// Turns that were taken off the chat, and what the prompt held before.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawn {
    turns: Vec<Turn>,
    /// None where the prompt was left alone.
    draft: Option<String>,
    /// Whether the whole chat was cleared.
    whole: bool,
}

impl Withdrawn {
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

/// Keep turns that were taken off the end of the chat.
pub(super) fn keep(state: &mut State, turns: Vec<Turn>, draft: Option<String>) -> &mut Withdrawn {
    let kept = state.withdrawn.get_or_insert(Withdrawn {
        turns: Vec::new(),
        draft,
        whole: false,
    });
    kept.turns.splice(0..0, turns);
    kept
}

/// Nothing was asked in their place: the turns come back, and with them what the prompt held.
pub(super) fn take_back(state: &mut State) {
    if let Some(kept) = state.withdrawn.take() {
        state.turns.extend(kept.turns);
        if let Some(draft) = kept.draft {
            state.prompt.set(draft);
        }
        state.view.top = None;
    }
}

/// Clear the chat, so that it can be taken back; what is asked instead begins another session.
pub(super) fn forget(state: &mut State) -> Vec<Effect> {
    if !talk::asked(state) {
        return Vec::new();
    }
    let effects = talk::stop(state);
    let turns = std::mem::take(&mut state.turns);
    keep(state, turns, None).whole = true;
    talk::clear(state);
    let back = state.key_name(Pane::Prompt, &Action::Back);
    state.say(format!(
        "the chat is cleared; {back} in the prompt takes that back"
    ));
    effects
}
