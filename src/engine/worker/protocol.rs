//! What goes in and out of the worker: plain data, which a socket can carry.

use crate::engine::decode::{CostModel, LensRow, Round, Settings, Stats, StopReason, TokenScore};
use crate::engine::loaded_model::{ModelInfo, ModelRequest};
use crate::engine::prompt::Prompt;
use crate::engine::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Names one run; events carry it so that late ones can be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// Names a conversation, whose cache lasts from run to run.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct ConversationId(pub u64);

/// What the worker can be told. Runs are started one after the other; one that is asked for in the conversation of the
/// present run ends that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Load a model in place of the present one, which ends the present run.
    Load(ModelRequest),
    /// Give up the load under way, the download included; there is no model then.
    CancelLoad,
    /// Do `task` in a conversation, which is made where there is none of that name.
    Start {
        run: RunId,
        conversation: ConversationId,
        task: Task,
        settings: Arc<Settings>,
    },
    /// The settings of a run from its next round on.
    Settings { run: RunId, settings: Arc<Settings> },
    /// End a run after the token at hand; what it generated is kept.
    Cancel { run: RunId },
    /// Stop before the next phase of a run.
    Pause { run: RunId },
    /// While paused: one phase (draft of one token, verify) further.
    Step { run: RunId },
    /// Continue a paused run.
    Resume { run: RunId },
    /// Give a conversation's memory back.
    Forget { conversation: ConversationId },
    /// End the worker, and with it the present run.
    Shutdown,
}

/// What a run is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Answer a prompt.
    Generate(Prompt),
    /// The same prompt and seed, autoregressive beside self-speculative. The conversation's cache is left alone.
    Race(Prompt),
    /// What every layer would have said along the text that the run of this name generated last in this conversation. It
    /// waits for a run under way, and gives way to one that is asked for.
    Lens,
    /// Log-probabilities of a text's tokens from number `from` on, at least 1. See
    /// [`Decoder::score`](crate::engine::decode::Decoder::score).
    Score {
        prompt: Prompt,
        from: usize,
        exit_layer: Option<usize>,
        top: usize,
    },
}

/// One side of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    Autoregressive,
    SelfSpeculative,
}

/// What the worker reports: of its model, to whoever owns the worker; of a run, to whoever started it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    Model(ModelEvent),
    Run(RunId, RunEvent),
}

/// What becomes of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelEvent {
    /// Loading proceeds: what is being done and how far it is, 0 to 1 where that is known.
    Loading {
        stage: String,
        fraction: Option<f32>,
    },
    Loaded(Box<ModelInfo>),
    /// The model could not be loaded.
    Failed(Failure),
    /// The load was given up.
    Cancelled,
}

/// What becomes of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEvent {
    /// Prompt tokens computed so far; `cached` of `total` were found in the cache.
    Prefill {
        done: usize,
        total: usize,
        cached: usize,
    },
    /// A token was drafted in the round at hand; it settles with that round's [`RunEvent::Round`].
    Drafted {
        id: u32,
        text: String,
        p_draft: Option<f32>,
    },
    Round(Box<Round>),
    /// A round of one lane of a race; [`RunEvent::Finished`] ends it.
    Race {
        lane: Lane,
        round: Box<Round>,
    },
    /// What every layer would have said at some positions of the text, in order; `of` positions in all.
    Lens {
        rows: Vec<LensRow>,
        of: usize,
        costs: CostModel,
    },
    /// All that was scored.
    Scores(Vec<TokenScore>),
    /// The run is paused before its next phase.
    Paused,
    Finished {
        reason: StopReason,
        stats: Stats,
    },
    /// The run could not be continued; the worker lives.
    Failed(Failure),
}

/// An error as it leaves the worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub kind: ErrorKind,
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
    /// A fault of the program itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            message: message.into(),
        }
    }
}

impl Command {
    /// The run that it is about, if it is about one.
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
