//! What other settings would have made of a text: acceptance and speed for every exit layer and number of speculations.
//!
//! With greedy decoding and with shared noise the text does not depend on either, so what each layer would have said
//! along the text ([`LensRow`]) decides what any draft would have had accepted; only the times are an estimate.

use super::LensRow;
use serde::{Deserialize, Serialize};

/// Measured seconds of the parts of a round on this machine. Index i of a list is for i + 1 rows at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// The layer count L.
    pub layers: usize,
    /// One layer.
    pub layer: Vec<f64>,
    /// Norm and whole head.
    pub head: Vec<f64>,
    /// Norm and the head that drafts use, one row.
    pub draft_head: f64,
    /// What a choice of one token costs besides.
    pub choice: f64,
}

impl Costs {
    /// Seconds of one autoregressive step.
    pub fn step(&self) -> f64 {
        self.layers as f64 * at(&self.layer, 1) + at(&self.head, 1) + self.choice
    }

    /// Seconds of a round that drafts `drafted` tokens at `exit_layer` and verifies them.
    pub fn round(&self, exit_layer: usize, drafted: usize) -> f64 {
        let early = exit_layer as f64 * at(&self.layer, 1);
        let late = (self.layers - exit_layer) as f64 * at(&self.layer, drafted + 1);
        let draft = drafted as f64 * (early + self.draft_head + self.choice);
        draft + early + late + at(&self.head, drafted + 1) + (drafted + 1) as f64 * self.choice
    }
}

/// The cost of `rows` rows; beyond what was measured it grows in proportion.
fn at(costs: &[f64], rows: usize) -> f64 {
    match costs.get(rows - 1) {
        Some(&cost) => cost,
        None => costs
            .last()
            .map_or(0.0, |&last| last * rows as f64 / costs.len() as f64),
    }
}

/// What one pair of settings would have made of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    pub exit_layer: usize,
    pub num_speculations: usize,
    pub rounds: usize,
    pub drafted: usize,
    pub accepted: usize,
    pub seconds: f64,
    /// Tokens a second.
    pub speed: f64,
}

impl Forecast {
    /// Replays the text with one pair of settings.
    pub fn of(rows: &[LensRow], exit_layer: usize, num_speculations: usize, costs: &Costs) -> Self {
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

    /// Every pair of exit layer 1..L and speculations 1..=`most`, ordered by both.
    pub fn all(rows: &[LensRow], most: usize, costs: &Costs) -> Vec<Self> {
        let pairs = (1..costs.layers)
            .flat_map(|exit| (1..=most).map(move |speculations| (exit, speculations)));
        pairs
            .map(|(exit, speculations)| Self::of(rows, exit, speculations, costs))
            .collect()
    }

    /// accepted ÷ drafted; none where nothing was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        (self.drafted > 0).then(|| self.accepted as f64 / self.drafted as f64)
    }
}
