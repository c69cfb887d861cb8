//! Merges the cells of all machines into one result, in any order.

use super::baseline::{Baseline, Prediction, keeps_text};
use super::cell::{CellFile, CellRun};
use super::work::{read_baseline, read_cell};
use super::{Cell, RunFolder};
use crate::engine::Result;
use crate::engine::decode::Stats;
use crate::eval::identity::hash;
use crate::eval::interval::{Interval, interval, mean};
use crate::eval::run::Measured;
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Merged {
    /// Hash of the manifest.
    pub sweep: String,
    /// Cells not measured yet, or without a baseline.
    pub missing: Vec<String>,
    /// Texts that differ but must be equal.
    pub faults: Vec<String>,
    /// Texts that differ between machines, which is allowed.
    pub notes: Vec<String>,
    /// Tokens per second of autoregressive decoding, without prefill, for each baseline.
    pub baselines: Vec<BaselineSpeed>,
    /// Measured cells, in the order of the grid.
    pub rows: Vec<ResultRow>,
}

/// Speed of plain decoding on a machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineSpeed {
    pub id: String,
    pub machine: String,
    pub temperature: f32,
    pub tokens_per_second: Option<f64>,
    pub load: Option<f64>,
}

/// A measured cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResultRow {
    pub cell: Cell,
    pub samples: usize,
    pub tokens: usize,
    /// Means over samples, prefill included, as LayerSkip reports them.
    pub acceptance_rate: Option<f64>,
    pub total_time: Option<f64>,
    pub time_per_token: Option<f64>,
    pub tokens_per_second: Option<f64>,
    /// Mean over samples of the ratios of time per token, without prefill: the speed-up of the paper.
    pub speedup: Option<Interval>,
    /// Ratio of tokens per second over all samples, without prefill.
    pub speedup_ratio_of_speeds: Option<f64>,
    pub mean_accepted_length: Option<f64>,
    /// All tokens ÷ all seconds of decoding, without prefill.
    pub decode_tokens_per_second: Option<f64>,
    pub time_to_first_token: Option<f64>,
    /// Acceptance rate over all drafted tokens, for comparison with the prediction.
    pub pooled_acceptance_rate: Option<f64>,
    pub prediction: Option<Prediction>,
    /// The predicted speed-up ÷ the measured ratio of speeds, minus 1.
    pub prediction_error: Option<f64>,
    /// Whether all texts equal the baseline's; `None` if they need not.
    pub same_text: Option<bool>,
    pub machine: String,
    pub baseline: String,
}

/// Merges the cells in a folder.
///
/// # Errors
/// If a file in it belongs to another sweep, or is damaged.
pub fn merge(folder: &RunFolder) -> Result<Merged> {
    let mut merged = Merged {
        sweep: folder.hash.clone(),
        missing: Vec::new(),
        faults: Vec::new(),
        notes: Vec::new(),
        baselines: Vec::new(),
        rows: Vec::new(),
    };
    let mut baselines: BTreeMap<String, Baseline> = BTreeMap::new();
    for cell in folder.manifest.cells() {
        let Some(file) = read_cell(folder, &cell)? else {
            merged.missing.push(cell.name());
            continue;
        };
        if !baselines.contains_key(&file.baseline) {
            let Some(baseline) = read_baseline(folder, &file.baseline)? else {
                merged
                    .missing
                    .push(format!("{} (the baseline beside it)", cell.name()));
                continue;
            };
            baselines.insert(file.baseline.clone(), baseline);
        }
        let Some(baseline) = baselines.get(&file.baseline) else {
            continue;
        };
        for difference in &file.differences {
            merged.faults.push(format!(
                "{}: the text of prompt {} differs from autoregressive decoding at token {}",
                cell.name(),
                difference.example,
                difference.position
            ));
        }
        let keeps = keeps_text(&cell.settings(&folder.manifest.settings));
        merged.rows.push(row(&file, baseline, keeps)?);
    }
    // A machine may have measured its baseline twice, once for each of its shards.
    merged.baselines = baselines.values().map(speed).collect();
    merged.baselines.sort_by(|a, b| {
        (&a.machine, a.temperature.to_bits(), &a.id).cmp(&(
            &b.machine,
            b.temperature.to_bits(),
            &b.id,
        ))
    });
    merged.notes = differing(folder, &baselines)?;
    Ok(merged)
}

fn speed(baseline: &Baseline) -> BaselineSpeed {
    BaselineSpeed {
        id: baseline.id.clone(),
        machine: machine_name(&baseline.machine),
        temperature: baseline.temperature,
        tokens_per_second: Stats::total(baseline.runs.iter().map(|run| &run.stats))
            .tokens_per_second(),
        load: baseline.load,
    }
}

fn machine_name(machine: &crate::eval::machine::Machine) -> String {
    let simd = machine
        .simd
        .as_ref()
        .map(|simd| format!(" {simd}"))
        .unwrap_or_default();
    format!(
        "{} ({}, {}{simd})",
        machine.host, machine.cpu, machine.device
    )
}

/// Prompts with texts that differ between machines.
fn differing(folder: &RunFolder, baselines: &BTreeMap<String, Baseline>) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    let all: Vec<&Baseline> = baselines.values().collect();
    for (at, one) in all.iter().enumerate() {
        let others = all[at + 1..]
            .iter()
            .filter(|other| other.temperature == one.temperature);
        for other in others {
            let pairs = one
                .runs
                .iter()
                .zip(&other.runs)
                .zip(&folder.manifest.examples);
            for ((run, second), example) in pairs {
                if let Some(position) = run.differs_from(&second.tokens) {
                    notes.push(format!(
                        "prompt {}: {} and {} diverge at token {position}",
                        example.id,
                        machine_name(&one.machine),
                        machine_name(&other.machine)
                    ));
                }
            }
        }
    }
    notes.sort();
    Ok(notes)
}

fn row(file: &CellFile, baseline: &Baseline, keeps_text: bool) -> Result<ResultRow> {
    let runs = &file.runs;
    let average = |of: &dyn Fn(&CellRun) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter_map(of).collect();
        ratio(values.iter().sum(), values.len() as f64)
    };
    let total = Stats::total(runs.iter().map(|run| &run.stats));
    let decode_tokens_per_second = total.tokens_per_second();
    let time_per_token = |run: &CellRun| ratio(run.total_seconds, run.stats.tokens as f64);
    let speedup_ratio_of_speeds = decode_tokens_per_second
        .zip(speed(baseline).tokens_per_second)
        .map(|(cell, plain)| cell / plain);
    let prediction = baseline
        .predictions
        .iter()
        .find(|made| made.cell == file.cell)
        .copied();
    let same = runs
        .iter()
        .zip(&baseline.runs)
        .map(|(run, plain)| Ok(run.tokens_hash == hash(&plain.tokens)?))
        .collect::<Result<Vec<bool>>>()?;
    Ok(ResultRow {
        cell: file.cell,
        samples: runs.len(),
        tokens: total.tokens,
        acceptance_rate: average(&|run| run.stats.acceptance_rate()),
        total_time: average(&|run| Some(run.total_seconds)),
        time_per_token: average(&time_per_token),
        tokens_per_second: average(&|run| Some(1.0 / time_per_token(run)?)),
        speedup: speedup(&baseline.runs, runs),
        speedup_ratio_of_speeds,
        mean_accepted_length: total.mean_accepted_length(),
        decode_tokens_per_second,
        time_to_first_token: average(&|run| Some(run.time_to_first_token)),
        pooled_acceptance_rate: total.acceptance_rate(),
        prediction,
        prediction_error: prediction
            .zip(speedup_ratio_of_speeds)
            .map(|(prediction, measured)| prediction.speedup / measured - 1.0),
        same_text: keeps_text.then(|| same.iter().all(|same| *same)),
        machine: machine_name(&file.machine),
        baseline: file.baseline.clone(),
    })
}

/// Mean over samples of the ratios of time per token, without prefill.
fn speedup(plain: &[Measured], runs: &[CellRun]) -> Option<Interval> {
    let per_token = |stats: &Stats| ratio(stats.decode_seconds(), stats.tokens as f64);
    let ratios: Vec<Option<f64>> = plain
        .iter()
        .zip(runs)
        .map(|(plain, run)| ratio(per_token(&plain.stats)?, per_token(&run.stats)?))
        .collect();
    match ratios.len() {
        // The bootstrap of a single sample is that sample.
        0 | 1 => interval(ratios.len(), |_| ratios.first().copied().flatten()),
        _ => mean(&ratios),
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Columns of the table: LayerSkip's, then further ones.
pub const CSV_COLUMNS: [&str; 24] = [
    "exit_layer",
    "num_speculations",
    "acceptance_rate",
    "total_time",
    "time_per_token",
    "tokens_per_second",
    "speedup",
    "speedup_low",
    "speedup_high",
    "speedup_ratio_of_speeds",
    "mean_accepted_length",
    "decode_tokens_per_second",
    "time_to_first_token",
    "pooled_acceptance_rate",
    "predicted_acceptance_rate",
    "predicted_decode_tokens_per_second",
    "predicted_speedup",
    "prediction_error",
    "draft_vocab",
    "temperature",
    "controller",
    "samples",
    "same_text",
    "machine",
];

/// The rows as CSV. Unknown values are empty.
pub fn csv(rows: &[ResultRow]) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    // Writing to memory cannot fail.
    let _ = writer.write_record(CSV_COLUMNS);
    for row in rows {
        let number =
            |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
        let predicted =
            |of: fn(&Prediction) -> Option<f64>| number(row.prediction.as_ref().and_then(of));
        let _ = writer.write_record([
            row.cell.exit_layer.to_string(),
            row.cell.num_speculations.to_string(),
            number(row.acceptance_rate),
            number(row.total_time),
            number(row.time_per_token),
            number(row.tokens_per_second),
            number(row.speedup.map(|speedup| speedup.value)),
            number(row.speedup.map(|speedup| speedup.low)),
            number(row.speedup.map(|speedup| speedup.high)),
            number(row.speedup_ratio_of_speeds),
            number(row.mean_accepted_length),
            number(row.decode_tokens_per_second),
            number(row.time_to_first_token),
            number(row.pooled_acceptance_rate),
            predicted(|made| made.acceptance_rate),
            predicted(|made| Some(made.tokens_per_second)),
            predicted(|made| Some(made.speedup)),
            number(row.prediction_error),
            row.cell.draft_vocab.to_string(),
            row.cell.temperature.to_string(),
            row.cell.controller.to_string(),
            row.samples.to_string(),
            row.same_text
                .map_or_else(String::new, |same| same.to_string()),
            row.machine.clone(),
        ]);
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
