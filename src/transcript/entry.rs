//! What a caller tells a journal, and the parts that entries are made of.

use crate::engine::decode::{Costs, LensRow, Round, Settings, Stats, StopReason};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::prompt::Prompt;
use crate::engine::worker::RunId;
use serde::{Deserialize, Serialize};

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
    /// Whether `self` is `other` with its hash found out meanwhile.
    pub fn completes(&self, other: &Self) -> bool {
        other.hash.is_none()
            && Self {
                hash: None,
                ..self.clone()
            } == *other
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

/// What every layer would have said along a text, once that was asked for, and what the parts of a round cost on the
/// machine that was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lens {
    pub rows: Vec<LensRow>,
    pub costs: Costs,
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
