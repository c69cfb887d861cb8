//! The file that a benchmark writes.

use super::Summary;
use crate::engine::decode::Settings;
use crate::eval::datasets::DatasetRequest;
use crate::eval::identity::ModelIdentity;
use crate::eval::machine::Machine;
use crate::eval::metrics::TextScores;
use crate::eval::output_folder::Header;
use crate::eval::run::Measured;
use serde::{Deserialize, Serialize};

/// A benchmark's result: machine, settings, samples and summary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    #[serde(flatten)]
    pub header: Header,
    #[serde(flatten)]
    pub key: Key,
    /// Load average of the machine at the start and at the end.
    pub load_before: Option<f64>,
    pub load_after: Option<f64>,
    /// Ids of the examples that do not fit in the context.
    pub too_long: Vec<String>,
    /// Set once all samples are measured.
    pub summary: Option<Summary>,
    pub samples: Vec<Sample>,
}

/// Everything that determines a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Version of skiplens.
    pub version: String,
    pub model: ModelIdentity,
    pub machine: Machine,
    pub dataset: DatasetRequest,
    /// Hash of all prompts, as token ids.
    pub prompts_hash: String,
    pub settings: Settings,
}

/// One prompt with both answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub category: Option<String>,
    pub prompt_tokens: usize,
    pub reference: Option<String>,
    pub autoregressive: Measured,
    pub autoregressive_scores: Option<TextScores>,
    /// The other strategy, if one is measured.
    pub speculative: Option<Measured>,
    pub speculative_scores: Option<TextScores>,
    /// Whether both generated the same tokens.
    pub same_text: Option<bool>,
}
