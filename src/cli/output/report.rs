//! The output of `generate --json`.

use crate::engine::decode::{Round, Stats, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::prompt::Prompt;
use crate::transcript::export::{Figures, Token, tokens};
use serde::Serialize;

/// A complete generation.
#[derive(Serialize)]
pub struct Report<'a> {
    model: &'a ModelInfo,
    prompt: &'a Prompt,
    /// The generated text.
    text: String,
    tokens: Vec<Token<'a>>,
    rounds: &'a [Round],
    stats: Figures,
    stop: &'a StopReason,
}

impl<'a> Report<'a> {
    pub fn new(
        model: &'a ModelInfo,
        prompt: &'a Prompt,
        rounds: &'a [Round],
        stats: &Stats,
        stop: &'a StopReason,
    ) -> Self {
        let tokens: Vec<_> = rounds
            .iter()
            .flat_map(|round| tokens(round.index, round))
            .collect();
        let text = rounds
            .iter()
            .flat_map(Round::kept)
            .map(|token| token.text)
            .collect();
        Self {
            model,
            prompt,
            text,
            tokens,
            rounds,
            stats: stats.clone().into(),
            stop,
        }
    }
}
