//! The worst drafts of an answer: rejected tokens whose draft probability most exceeds the verifier's.

use super::{Display, State, TokenRef, Turn};

/// A rejected draft.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorstDraft {
    pub at: TokenRef,
    /// Its probability under the draft minus that under the verifier.
    pub excess: f32,
}

impl State {
    /// Whether a token exists and is shown in the text. The frame on screen may be older than the state.
    pub fn is_shown(&self, display: Display, at: TokenRef) -> bool {
        let Some(turn) = self.turns.get(at.turn) else {
            return false;
        };
        // Markdown shows only the text.
        let rejected = display.show_rejected && !display.shows_markdown(turn);
        turn.rounds
            .get(at.round)
            .is_some_and(|round| at.slot < round.slots() && (rejected || round.is_kept(at.slot)))
    }

    /// The token on which to put the cursor for a draft: the draft itself or, if rejected drafts are hidden, the token
    /// in its place, else the closing token of its round.
    pub fn reachable(&self, display: Display, at: TokenRef) -> Option<TokenRef> {
        if self.is_shown(display, at) {
            return Some(at);
        }
        let round = self.turns.get(at.turn)?.rounds.get(at.round)?;
        let instead = round.instead_of(at.slot).map(|token| token.slot);
        let slot = instead.or(round.slots().checked_sub(1))?;
        Some(TokenRef { slot, ..at }).filter(|last| self.is_shown(display, *last))
    }
}

/// The rejected drafts of the turn at `index` that a verifier saw, by descending excess; at most `max` of them.
pub fn worst_drafts(index: usize, turn: &Turn, max: usize) -> Vec<WorstDraft> {
    let mut worst: Vec<WorstDraft> = Vec::new();
    for (at, round) in turn.rounds.iter().enumerate() {
        let slots = (0..round.drafted().len()).filter(|slot| !round.is_kept(*slot));
        for token in slots.filter_map(|slot| round.token(slot)) {
            if let (Some(draft), Some(verify)) = (token.p_draft, token.p_verify) {
                worst.push(WorstDraft {
                    at: TokenRef {
                        turn: index,
                        round: at,
                        slot: token.slot,
                    },
                    excess: draft - verify,
                });
            }
        }
    }
    let order =
        |a: &WorstDraft, b: &WorstDraft| b.excess.total_cmp(&a.excess).then(a.at.cmp(&b.at));
    if max < worst.len() {
        worst.select_nth_unstable_by(max, order);
        worst.truncate(max);
    }
    worst.sort_unstable_by(order);
    worst
}
