//! Commands to the worker and events from it: plain data that can be sent over a socket.

use crate::engine::decode::{CostModel, LensRow, Round, Settings, Stats, StopReason, TokenScore};
use crate::engine::loaded_model::{ModelInfo, ModelRequest};
use crate::engine::prompt::Prompt;
use crate::engine::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Identifies a run. Events carry it, so that late ones can be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// Identifies a conversation. Its cache persists across runs.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct ConversationId(pub u64);

/// A command to the worker. Runs are executed one after the other; a new one in the conversation of the current run ends
/// that run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Load a model in place of the current one, which ends the current run.
    Load(ModelRequest),
    /// Abandon the current load, including its download. No model is loaded afterwards.
    CancelLoad,
    /// Run a task in a conversation, which is created if necessary.
    Start {
        /// The run.
        run: RunId,
        /// The conversation.
        conversation: ConversationId,
        /// What to do.
        task: Task,
        /// How to decode.
        settings: Arc<Settings>,
    },
    /// Change the settings of a run from its next round.
    Settings {
        /// The run.
        run: RunId,
        /// The new settings.
        settings: Arc<Settings>,
    },
    /// End a run after the current token; the tokens generated so far are kept.
    Cancel {
        /// The run.
        run: RunId,
    },
    /// Pause a run before its next phase.
    Pause {
        /// The run.
        run: RunId,
    },
    /// Run one phase of a paused run: draft one token, or verify.
    Step {
        /// The run.
        run: RunId,
    },
    /// Continue a paused run.
    Resume {
        /// The run.
        run: RunId,
    },
    /// Free the memory of a conversation.
    Forget {
        /// The conversation.
        conversation: ConversationId,
    },
    /// End the current run and the worker.
    Shutdown,
}

/// What a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Answer a prompt. If a conversation leaves no room for an answer, its oldest turns are dropped and
    /// [`RunEvent::Dropped`] is reported; the system prompt and the last question always stay.
    Generate(Prompt),
    /// As [`Task::Generate`], but a conversation that does not fit is an error of kind [`ErrorKind::ContextExceeded`].
    GenerateWhole(Prompt),
    /// Answer a prompt twice side by side: with the reference's settings, and as a challenger with those of the run. Does
    /// not use the conversation's cache.
    Race {
        /// The prompt.
        prompt: Prompt,
        /// Settings of the reference; `None` for plain decoding against self-speculative decoding with the settings of
        /// the run.
        against: Option<Arc<Settings>>,
    },
    /// Report what every layer would have predicted along the text of the last run of this conversation, which must have this
    /// id. Waits for the current run, and is cancelled by a new one.
    Lens,
    /// As [`Task::Lens`], for an answer that is not the last run of this conversation. It becomes the last run.
    LensOf {
        /// The prompt.
        prompt: Prompt,
        /// The tokens of the answer.
        answer: Vec<u32>,
    },
    /// Answer a prompt plainly and with each of these pairs of exit layer and speculations, and report the figures of each
    /// answer. Does not use the conversation's cache.
    Sweep {
        /// The prompt.
        prompt: Prompt,
        /// Exit layer and speculations of each answer, in order.
        pairs: Vec<(usize, usize)>,
    },
    /// Score the tokens of a text. See [`Decoder::score`](crate::engine::decode::Decoder::score).
    Score {
        /// The text.
        prompt: Prompt,
        /// Index of the first token to score, at least 1.
        from: usize,
        /// Score after this many layers; `None` for all.
        exit_layer: Option<usize>,
        /// How many alternatives to list.
        top: usize,
    },
}

impl Task {
    /// Whether it always ends with [`RunEvent::Finished`] or [`RunEvent::Failed`]. Others end with their last result.
    pub fn reports_its_end(&self) -> bool {
        !matches!(self, Self::Lens | Self::LensOf { .. } | Self::Score { .. })
    }
}

/// One of the two runs of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    /// The baseline; usually plain decoding.
    #[serde(alias = "autoregressive")]
    Reference,
    /// The run compared with it.
    #[serde(alias = "self-speculative")]
    Challenger,
}

/// The figures of one answer of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepCell {
    /// Exit layer and speculations; `None` for plain decoding.
    pub pair: Option<(usize, usize)>,
    /// Statistics of the answer.
    pub stats: Stats,
}

/// A report of the worker. Model events go to its owner, run events to the client that started the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// About the model.
    Model(ModelEvent),
    /// About a run.
    Run(RunId, RunEvent),
}

/// An event of loading a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelEvent {
    /// Loading makes progress.
    Loading {
        /// The current stage.
        stage: String,
        /// Fraction of the stage that is done, if known.
        fraction: Option<f32>,
    },
    /// The model is ready.
    Loaded {
        /// Its description.
        info: Box<ModelInfo>,
        /// The [fingerprint](crate::engine::weights::fingerprint()) of its file; `None` if it has no file that can be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
    },
    /// The model could not be loaded.
    Failed(Failure),
    /// The load was abandoned.
    Cancelled,
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEvent {
    /// The oldest messages of the conversation were dropped from the context. Precedes all other events of a run.
    Dropped {
        /// How many after the system prompt.
        messages: usize,
    },
    /// Part of the prompt has been computed.
    Prefill {
        /// Tokens that are done, including cached ones.
        done: usize,
        /// Tokens of the prompt that prefill covers.
        total: usize,
        /// Tokens found in the cache.
        cached: usize,
    },
    /// A token was drafted in the current round; [`RunEvent::Round`] reports whether it was accepted.
    Drafted {
        /// Token id.
        id: u32,
        /// Its text.
        text: String,
        /// Its probability under the draft, if known.
        p_draft: Option<f32>,
    },
    /// A round has finished.
    Round(Box<Round>),
    /// One lane of a race has finished a round; [`RunEvent::Finished`] ends the race.
    Race {
        /// The lane.
        lane: Lane,
        /// The round.
        round: Box<Round>,
    },
    /// What every layer would have predicted at some positions of the text, in order.
    Lens {
        /// One row per position.
        rows: Vec<LensRow>,
        /// Total number of positions.
        of: usize,
        /// Costs of the parts of a round on this machine.
        costs: CostModel,
    },
    /// One answer of a sweep has finished; [`RunEvent::Finished`] ends the sweep.
    Sweep(SweepCell),
    /// All scores.
    Scores(Vec<TokenScore>),
    /// The run is paused before its next phase.
    Paused,
    /// The run has ended.
    Finished {
        /// Why.
        reason: StopReason,
        /// Its statistics.
        stats: Stats,
    },
    /// The run failed; the worker survives.
    Failed(Failure),
}

/// An error, as reported by the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The category of the error.
    pub kind: ErrorKind,
    /// What went wrong and what to do.
    pub message: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

impl Failure {
    /// A bug in the program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: message.into(),
        }
    }
}

impl Command {
    /// The run of the event, if it has one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Start { run, .. }
            | Self::Settings { run, .. }
            | Self::Cancel { run }
            | Self::Pause { run }
            | Self::Step { run }
            | Self::Resume { run } => Some(*run),
            Self::Load(_) | Self::CancelLoad | Self::Forget { .. } | Self::Shutdown => None,
        }
    }
}
