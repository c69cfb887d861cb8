//! One measured cell.

use super::Cell;
use crate::engine::Result;
use crate::engine::decode::{Stats, StopReason};
use crate::eval::identity::hash;
use crate::eval::machine::Machine;
use crate::eval::run::Measured;
use serde::{Deserialize, Serialize};

/// A cell's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellFile {
    /// Hash of the manifest.
    pub sweep: String,
    pub cell: Cell,
    /// The baseline that it was measured against.
    pub baseline: String,
    pub machine: Machine,
    pub load: Option<f64>,
    /// One run for each prompt, in the manifest's order.
    pub runs: Vec<CellRun>,
    /// Texts that differ from the baseline but must not.
    pub differences: Vec<Difference>,
}

/// A generation without its text, which is the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellRun {
    /// Hash of the generated tokens.
    pub tokens_hash: String,
    pub stop: StopReason,
    pub stats: Stats,
    pub time_to_first_token: f64,
    pub total_seconds: f64,
}

/// A text that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Id of the prompt.
    pub example: String,
    /// The first generated token that differs, from 0.
    pub position: usize,
}

impl CellRun {
    pub fn of(run: &Measured) -> Result<Self> {
        Ok(Self {
            tokens_hash: hash(&run.tokens)?,
            stop: run.stop.clone(),
            stats: run.stats.clone(),
            time_to_first_token: run.time_to_first_token,
            total_seconds: run.total_seconds,
        })
    }
}
