//! Estimates how other settings would have performed on a text: acceptance and speed for every exit layer and number of
//! speculations.
//!
//! With greedy decoding and with shared noise the text depends on neither, so what each layer would have predicted along
//! the text ([`LensRow`]) determines exactly which drafts would have been accepted; only the times are estimates.

use super::{CostModel, LensRow};
use serde::{Deserialize, Serialize};

/// How one pair of settings would have performed on the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// Exit layer E.
    pub exit_layer: usize,
    /// Number of speculations K.
    pub num_speculations: usize,
    /// Tokens of the text.
    #[serde(default)]
    pub tokens: usize,
    /// Rounds needed.
    pub rounds: usize,
    /// Tokens drafted.
    pub drafted: usize,
    /// Drafted tokens accepted.
    pub accepted: usize,
    /// Sum over the rounds of the square of the tokens that a round adds, for the error.
    #[serde(default)]
    pub squares: usize,
    /// Estimated time.
    pub seconds: f64,
    /// Tokens per second.
    pub speed: f64,
}

impl Forecast {
    /// Replays the text with one pair of settings.
    pub fn of(
        rows: &[LensRow],
        exit_layer: usize,
        num_speculations: usize,
        costs: &CostModel,
    ) -> Self {
        let mut forecast = Self {
            exit_layer,
            num_speculations,
            ..Self::default()
        };
        let mut at = 0;
        while at < rows.len() {
            let drafted = num_speculations.min(rows.len() - at - 1);
            let accepted = rows[at..at + drafted]
                .iter()
                .take_while(|row| row.agrees(exit_layer))
                .count();
            forecast.rounds += 1;
            forecast.squares += (accepted + 1) * (accepted + 1);
            forecast.drafted += drafted;
            forecast.accepted += accepted;
            forecast.seconds += if drafted == 0 {
                costs.step()
            } else {
                costs.round(exit_layer, drafted)
            };
            at += accepted + 1;
        }
        forecast.tokens = rows.len();
        forecast.update_speed();
        forecast
    }

    fn update_speed(&mut self) {
        self.speed = match self.seconds > 0.0 {
            true => self.tokens as f64 / self.seconds,
            false => 0.0,
        };
    }

    /// Adds another text with the same pair of settings.
    pub fn merge(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.rounds += other.rounds;
        self.drafted += other.drafted;
        self.accepted += other.accepted;
        self.squares += other.squares;
        self.seconds += other.seconds;
        self.update_speed();
    }

    /// Relative standard error of the speed on other texts like these: that of the mean number of tokens a round adds.
    /// `None` for fewer than two rounds.
    pub fn error(&self) -> Option<f64> {
        let rounds = self.rounds as f64;
        if self.rounds < 2 || self.tokens == 0 {
            return None;
        }
        let mean = self.tokens as f64 / rounds;
        let variance = (self.squares as f64 / rounds - mean * mean).max(0.0);
        Some((variance / rounds).sqrt() / mean)
    }

    /// All pairs of exit layer 1..L and speculations 1..=`max`, in that order.
    pub fn all(rows: &[LensRow], max: usize, costs: &CostModel) -> Vec<Self> {
        let pairs = (1..costs.layers)
            .flat_map(|exit| (1..=max).map(move |speculations| (exit, speculations)));
        pairs
            .map(|(exit, speculations)| Self::of(rows, exit, speculations, costs))
            .collect()
    }

    /// accepted ÷ drafted; `None` if nothing was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        (self.drafted > 0).then(|| self.accepted as f64 / self.drafted as f64)
    }
}
