//! The entries of a journal and their types.

use crate::engine::decode::{CostModel, LensRow, Round, Settings, Stats, StopReason, Timings};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::prompt::Prompt;
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One event of a session. Callers do not name turns: the journal numbers them.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The title of the session changed.
    Title(String),
    /// A model was loaded. The same model again, now with its file hash, completes the previous entry.
    Model(ModelRecord),
    /// The system prompt changed; empty for none.
    System(String),
    /// The user changed the settings.
    Settings(Settings),
    /// How prompts reach the model changed.
    Mode(Mode),
    /// A new turn with a message of the user.
    User(String),
    /// A new turn of the assistant with text that the user typed or edited.
    Assistant(String),
    /// A generation starts. It continues the last turn if that is the assistant's, and starts a new one otherwise.
    Run {
        run: RunId,
        prompt: Prompt,
        settings: Settings,
    },
    /// The oldest messages of the conversation do not fit in the context of the current generation.
    Dropped { run: RunId, messages: usize },
    /// A round of the current generation.
    Round { run: RunId, round: Box<Round> },
    /// The current generation ended.
    End { run: RunId, end: RunEnd },
    /// The predictions of every layer for the text of the last generation. They may arrive in several entries.
    Lens { run: RunId, lens: Box<Lens> },
    /// The last turn, the assistant's, is answered again. Its current answer is kept as an alternative, unless blank.
    Retry,
    /// Selects the answer at index `answer` of turn `turn`.
    Show { turn: usize, answer: usize },
    /// The queued questions, in order.
    Queued(Vec<String>),
    /// A race against plain decoding ended.
    Race(Box<Race>),
    /// Drops all turns but the first N. Editing drops the user's turn and all after it, regenerating drops the
    /// assistant's answer.
    Truncate(usize),
}

impl Entry {
    /// Whether this entry creates the file: a session without any message leaves none.
    pub fn creates_file(&self) -> bool {
        matches!(
            self,
            Self::User(_) | Self::Assistant(_) | Self::Run { .. } | Self::Round { .. }
        )
    }

    /// Whether the file is synced to disk after this entry.
    pub fn needs_sync(&self) -> bool {
        matches!(self, Self::End { .. } | Self::Truncate(_) | Self::Title(_))
    }
}

/// How a prompt reaches the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A conversation, through the model's chat template.
    #[default]
    Chat,
    /// The prompt verbatim; the model continues it.
    Completion,
}

/// A model as recorded in a session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub name: String,
    /// File or folder it was loaded from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Fingerprint of the file, see [`super::fingerprint`]; `None` if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Dominant weight type.
    #[serde(default)]
    pub dtype: String,
    /// `cpu×2`, `cuda`, `metal`.
    #[serde(default)]
    pub device: String,
    /// The layer count L.
    #[serde(default)]
    pub num_layers: usize,
    /// Size of the weights in memory.
    #[serde(default)]
    pub weight_bytes: u64,
}

impl From<&ModelInfo> for ModelRecord {
    fn from(info: &ModelInfo) -> Self {
        Self {
            name: info.name.clone(),
            path: info.path.to_string_lossy().into_owned(),
            hash: None,
            dtype: info.dtype.clone(),
            device: info.device.clone(),
            num_layers: info.config.num_layers,
            weight_bytes: info.weight_bytes,
        }
    }
}

impl ModelRecord {
    /// The record of a model whose file has that fingerprint.
    pub fn new(info: &ModelInfo, fingerprint: Option<String>) -> Self {
        Self {
            hash: fingerprint,
            ..Self::from(info)
        }
    }

    /// Whether `other` has the same weights on the same device.
    pub fn is(&self, other: &Self) -> bool {
        self.has_weights_of(other) && self.device == other.device
    }

    /// Whether `other` has the same weights, on any device and machine: the same fingerprint, or where one is unknown,
    /// the same name and path.
    pub fn has_weights_of(&self, other: &Self) -> bool {
        let same_file = match (&self.hash, &other.hash) {
            (Some(a), Some(b)) => a == b,
            _ => (&self.name, &self.path) == (&other.name, &other.path),
        };
        same_file && self.dtype == other.dtype
    }

    /// A short name that distinguishes this model from `other`: its name, else its weight type or file.
    pub fn name_beside(&self, other: &Self) -> String {
        let file = |record: &Self| {
            let name = Path::new(&record.path).file_name();
            name.map(|name| name.to_string_lossy().into_owned())
        };
        match file(self) {
            _ if self.name != other.name => self.name.clone(),
            _ if self.dtype != other.dtype => format!("{} {}", self.name, self.dtype),
            Some(name) if file(other).as_ref() != Some(&name) => name,
            _ if self.path != other.path => self.path.clone(),
            _ => self.name.clone(),
        }
    }
}

/// What a run continued. A prompt that the session already contains is stored by reference; otherwise a chat of n turns
/// would be written n times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptForm {
    /// The system prompt and all turns so far, through the chat template.
    #[default]
    Conversation,
    /// The texts of all turns so far, concatenated without a template.
    Completion,
    /// Any other prompt, stored in full.
    Other(Prompt),
}

impl PromptForm {
    /// How the prompt reached the model.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Completion | Self::Other(Prompt::Text(_) | Prompt::Tokens(_)) => Mode::Completion,
            Self::Conversation | Self::Other(Prompt::Chat(_)) => Mode::Chat,
        }
    }
}

/// The predictions of every layer for a text, if requested, with the costs of the parts of a round measured on that
/// machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    pub rows: Vec<LensRow>,
    pub costs: CostModel,
}

impl Lens {
    /// Appends the rows of `more` that come after the known positions.
    pub(super) fn add(&mut self, more: Self) {
        let last = self.rows.last().map(|row| row.position);
        self.rows.extend(
            more.rows
                .into_iter()
                .filter(|row| last.is_none_or(|last| row.position > last)),
        );
        self.costs = more.costs;
    }
}

/// Measurements of a race: two answers to one prompt, one of them plain, on the same machine at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Race {
    /// The model that raced, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRecord>,
    /// Self-speculative speed ÷ autoregressive speed.
    pub speed_up: f64,
    /// Settings of the self-speculative answer.
    pub settings: Settings,
    /// Durations of the rounds of both answers.
    pub timings: Timings,
}

/// How a run ended and what its prompt cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    pub outcome: Outcome,
    #[serde(default)]
    pub prefill: Prefill,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Stopped(StopReason),
    /// It failed, with the error message.
    Failed(String),
}

/// The cost of prefilling the prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefill {
    /// Tokens computed.
    pub tokens: usize,
    /// Tokens found in the cache.
    pub cached: usize,
    pub seconds: f64,
}

impl RunEnd {
    /// The end reported by `RunEvent::Finished`; `cached` is the number of prompt tokens found in the cache.
    pub fn finished(reason: StopReason, stats: &Stats, cached: usize) -> Self {
        let prefill = Prefill {
            tokens: stats.prefill_tokens,
            cached,
            seconds: stats.prefill_seconds,
        };
        Self {
            outcome: Outcome::Stopped(reason),
            prefill,
        }
    }

    /// The end reported by `RunEvent::Failed`.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed(message.into()),
            prefill: Prefill::default(),
        }
    }
}

/// How much of [`crate::engine::decode::TokenDetail`] is written, if the engine recorded it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Only tokens with their probabilities.
    Off,
    /// The alternatives of draft and verify.
    #[default]
    Candidates,
    /// Also the predictions of every layer: some kilobytes per token.
    Layers,
}
