//! The lens on screen: every layer's choice along an answer.

use super::{State, TokenRef, Turn};

/// The cursor of the lens view. Its data belongs to the turn ([`Turn::lens`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LensView {
    /// The turn it shows ([`Turn::id`]).
    pub turn: u64,
    /// Index of the token among the rows of the lens; clamped to the last.
    pub row: usize,
    /// A layer, from 1.
    pub layer: usize,
    pub measure: Measure,
}

/// What the cells show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Whether the layer would have chosen the token of the text.
    Agreement,
    /// The probability that the layer gives its choice.
    Probability,
}

impl State {
    /// The turn with this id, and its index.
    pub fn turn_of(&self, id: u64) -> Option<(usize, &Turn)> {
        let index = self.turns.iter().rposition(|turn| turn.id == id)?;
        Some((index, &self.turns[index]))
    }
}

impl Turn {
    /// The token of the answer at this absolute position; `index` is the turn's.
    pub fn token_at(&self, index: usize, position: usize) -> Option<TokenRef> {
        let after = self
            .rounds
            .partition_point(|round| round.position <= position);
        let at = after.checked_sub(1)?;
        let round = &self.rounds[at];
        let place = position - round.position;
        let slot = match round.path().nth(place) {
            Some(node) => node,
            None if place + 1 == round.len() => round.slots().checked_sub(1)?,
            None => return None,
        };
        Some(TokenRef {
            turn: index,
            round: at,
            slot,
        })
    }
}
