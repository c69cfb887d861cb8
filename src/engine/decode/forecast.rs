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
    /// Rounds needed.
    pub rounds: usize,
    /// Tokens drafted.
    pub drafted: usize,
    /// Drafted tokens accepted.
    pub accepted: usize,
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
            forecast.drafted += drafted;
            forecast.accepted += accepted;
            forecast.seconds += if drafted == 0 {
                costs.step()
            } else {
                costs.round(exit_layer, drafted)
            };
            at += accepted + 1;
        }
        forecast.speed = if forecast.seconds > 0.0 {
            rows.len() as f64 / forecast.seconds
        } else {
            0.0
        };
        forecast
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
