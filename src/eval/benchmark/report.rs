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
    /// Processes that wanted to run on the machine when it began and when it ended.
    pub load_before: Option<f64>,
    pub load_after: Option<f64>,
    /// Ids of the examples that the context does not hold.
    pub too_long: Vec<String>,
    /// Once it is complete.
    pub summary: Option<Summary>,
    pub samples: Vec<Sample>,
}

/// All that decides a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Version of skiplens.
    pub version: String,
    pub model: ModelIdentity,
    pub machine: Machine,
    pub dataset: DatasetRequest,
    /// Of all prompts, as token ids.
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
    /// The other strategy, where one is measured.
    pub speculative: Option<Measured>,
    pub speculative_scores: Option<TextScores>,
    /// Whether both wrote the same tokens.
    pub same_text: Option<bool>,
}
