//! Autoregressive runs as the baseline of cells, and predictions for the cells.

use super::{Cell, grid};
use crate::engine::decode::{
    Controller, CostModel, Decoder, Forecast, LensRow, Session, Settings, Stats,
};
use crate::engine::sampling::Coupling;
use crate::engine::{Error, Result};
use crate::eval::machine::Machine;
use crate::eval::run::{Interrupted, Measured};
use serde::{Deserialize, Serialize};

/// All prompts answered autoregressively, on one machine at one temperature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Hash of the manifest.
    pub sweep: String,
    pub id: String,
    pub machine: Machine,
    /// Load average at the start.
    pub load: Option<f64>,
    pub temperature: f32,
    /// One run for each prompt, in the manifest's order.
    pub runs: Vec<Measured>,
    /// Predictions for the cells at this temperature.
    pub predictions: Vec<Prediction>,
}

/// The prediction for a cell: the baseline's texts, replayed with the choices of each layer at costs measured on this
/// machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub cell: Cell,
    pub acceptance_rate: Option<f64>,
    /// Decoding, without prefill.
    pub tokens_per_second: f64,
    /// Speed-up over autoregressive steps at the same costs.
    pub speedup: f64,
}

/// Whether a cell must have the text of its baseline: with greedy decoding and with shared noise.
pub fn keeps_text(settings: &Settings) -> bool {
    settings.sampling.greedy() || settings.sampling.coupling == Coupling::SharedNoise
}

/// Predictions from the texts of `runs` for the `cells` with fixed settings. Cells that may have other texts get none.
///
/// # Errors
/// [`Error::Cancelled`] if interrupted, and any error of the engine.
pub fn predict(
    decoder: &mut Decoder,
    base: &Settings,
    cells: &[Cell],
    prompts: &[Vec<u32>],
    runs: &[Measured],
    interrupted: &Interrupted,
) -> Result<Vec<Prediction>> {
    let cells: Vec<&Cell> = cells
        .iter()
        .filter(|cell| cell.controller == Controller::Fixed && keeps_text(&cell.settings(base)))
        .collect();
    let mut predictions = Vec::new();
    for of_one_head in cells.chunk_by(|a, b| a.draft_vocab == b.draft_vocab) {
        let Some(first) = of_one_head.first() else {
            continue;
        };
        let costs = decoder.measure_costs(first.draft_vocab)?;
        let mut sums = vec![Stats::default(); of_one_head.len()];
        for (prompt, run) in prompts.iter().zip(runs) {
            if interrupted() {
                return Err(Error::Cancelled);
            }
            let settings = first.settings(base);
            let mut session = decoder.session()?;
            let rows = instrumented(decoder, &mut session, &settings, prompt, run)?;
            let costs = decoder.costs_in(&mut session, &costs, first.draft_vocab)?;
            for (cell, sum) in of_one_head.iter().zip(&mut sums) {
                let forecast = Forecast::of(&rows, cell.exit_layer, cell.num_speculations, &costs);
                sum.drafted += forecast.drafted;
                sum.accepted += forecast.accepted;
                sum.verify_seconds += forecast.seconds;
                sum.tokens += rows.len();
            }
        }
        let made = of_one_head
            .iter()
            .zip(&sums)
            .map(|(cell, sum)| prediction(**cell, sum, &costs));
        predictions.extend(made);
    }
    Ok(predictions)
}

/// The choices of each layer along the text of `run`.
fn instrumented(
    decoder: &mut Decoder,
    session: &mut Session,
    settings: &Settings,
    prompt: &[u32],
    run: &Measured,
) -> Result<Vec<LensRow>> {
    let tokens: Vec<u32> = prompt.iter().chain(&run.tokens).copied().collect();
    session.restart(&tokens, 1);
    decoder.lens(session, prompt.len()..tokens.len(), settings, &mut ())
}

fn prediction(cell: Cell, sum: &Stats, costs: &CostModel) -> Prediction {
    let tokens_per_second = sum.tokens_per_second().unwrap_or_default();
    Prediction {
        cell,
        acceptance_rate: sum.acceptance_rate(),
        tokens_per_second,
        speedup: tokens_per_second * costs.step(),
    }
}

/// The baseline of a temperature.
///
/// # Errors
/// As [`Measured::of`].
pub fn measure(
    decoder: &mut Decoder,
    base: &Settings,
    temperature: f32,
    prompts: &[Vec<u32>],
    interrupted: &Interrupted,
    done: &mut dyn FnMut(usize),
) -> Result<Vec<Measured>> {
    let settings = grid::plain(base, temperature);
    let mut runs = Vec::with_capacity(prompts.len());
    for prompt in prompts {
        runs.push(Measured::of(decoder, prompt, &settings, interrupted)?);
        done(runs.len());
    }
    Ok(runs)
}
