//! What a caller tells a journal, and the parts that entries are made of.

use crate::engine::decode::{CostModel, LensRow, Round, Settings, Stats, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::prompt::Prompt;
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One thing that happened in a session. Turns are counted, not named: the journal gives each its id.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The session is called this from now on.
    Title(String),
    /// A model was loaded. The same model again, now with its file hash, completes the first entry.
    Model(ModelRecord),
    /// The system prompt from now on; empty for none.
    System(String),
    /// The user changed the settings.
    Settings(Settings),
    /// How prompts reach the model from now on.
    Mode(Mode),
    /// The user said something: a new turn.
    User(String),
    /// Text of the assistant that no run generated, typed or edited by the user: a new turn.
    Assistant(String),
    /// A generation begins: a new turn of the assistant, or the last one goes on if it is the assistant's.
    Run {
        run: RunId,
        prompt: Prompt,
        settings: Settings,
    },
    /// A round of the generation that has begun last.
    Round { run: RunId, round: Box<Round> },
    /// That generation is over.
    End { run: RunId, end: RunEnd },
    /// What every layer would have said along the text of the last generation. It may come in several pieces.
    Lens { run: RunId, lens: Box<Lens> },
    /// Only the first so many turns stay; those behind are taken back. An edit takes back a turn of the user's and
    /// what follows it, a regeneration the assistant's answer.
    Keep(usize),
}

impl Entry {
    /// Whether this is worth a file: a session in which nothing was said leaves none.
    pub fn speaks(&self) -> bool {
        matches!(
            self,
            Self::User(_) | Self::Assistant(_) | Self::Run { .. } | Self::Round { .. }
        )
    }

    /// Whether the moment is one to bring everything to the disk itself.
    pub fn settles(&self) -> bool {
        matches!(self, Self::End { .. } | Self::Keep(_) | Self::Title(_))
    }
}

/// How a prompt reaches the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A conversation, through the model's chat template.
    #[default]
    Chat,
    /// The prompt as it stands; the model continues it.
    Completion,
}

/// A model as a session names it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    pub name: String,
    /// File or folder it came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Fingerprint of the file, see [`super::fingerprint`]; none until it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Type of most of the weights.
    #[serde(default)]
    pub dtype: String,
    /// `cpu×2`, `cuda`, `metal`.
    #[serde(default)]
    pub device: String,
    /// The layer count L.
    #[serde(default)]
    pub num_layers: usize,
    /// Bytes that the weights take in memory.
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
    /// Whether `other` is the same model on the same device. A hash that is not known yet is no difference.
    pub fn is(&self, other: &Self) -> bool {
        let hashes = self.hash.as_ref().zip(other.hash.as_ref());
        let without_hash = |record: &Self| Self {
            hash: None,
            ..record.clone()
        };
        hashes.is_none_or(|(a, b)| a == b) && without_hash(self) == without_hash(other)
    }

    /// Whether `other` has the same weights, wherever they run.
    pub fn has_weights_of(&self, other: &Self) -> bool {
        let same_file = match (&self.hash, &other.hash) {
            (Some(a), Some(b)) => a == b,
            _ => (&self.name, &self.path) == (&other.name, &other.path),
        };
        same_file && self.dtype == other.dtype
    }

    /// What tells this model from `other`, in a word or two: its name, or else its type or file.
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

/// What a run continued, by reference where the session holds it already: a chat of n turns would else be written n
/// times over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptForm {
    /// The system prompt and the turns up to here, through the chat template.
    #[default]
    Conversation,
    /// The texts of the turns up to here, one after the other, without a template.
    Completion,
    /// Anything else, spelled out.
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

/// What every layer would have said along a text, once that was asked for, and what the parts of a round cost on the
/// machine that was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    pub rows: Vec<LensRow>,
    pub costs: CostModel,
}

impl Lens {
    /// Take in further positions, those that come after the ones known.
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
    /// It could not go on, and why.
    Failed(String),
}

/// What reading the prompt took.
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
    /// The end that [`crate::engine::worker::Event::Finished`] reports; `cached` is what its prefill found.
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

    /// The end that [`crate::engine::worker::Event::Failed`] reports.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            outcome: Outcome::Failed(message.into()),
            prefill: Prefill::default(),
        }
    }
}

/// How much of [`crate::engine::decode::TokenDetail`] goes into the file, where the engine recorded it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Nothing: tokens with their probabilities.
    Off,
    /// The alternatives of draft and verifier.
    #[default]
    Candidates,
    /// What every layer would have said, too: some kilobytes a token.
    Layers,
}
