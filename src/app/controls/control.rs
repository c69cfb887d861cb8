//! The names of the controls.

use serde::{Deserialize, Serialize};

/// One adjustable setting, in the order of the controls panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    ExitLayer,
    Speculations,
    Temperature,
    Strategy,
    Sampling,
    TopP,
    TopK,
    MinP,
    RepetitionPenalty,
    NoRepeatNgram,
    MaxTokens,
    Seed,
    Coupling,
    Proposers,
    Tree,
    DraftVocab,
    Adapter,
    KvqReuse,
    #[serde(alias = "autopilot")]
    Controller,
    Confidence,
    SystemPrompt,
}
