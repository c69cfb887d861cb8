//! What goes in and out of the worker.

use crate::engine::decode::{Costs, LensRow, Round, Settings, Stats, StopReason};
use crate::engine::loaded_model::{ModelInfo, ModelRequest};
use crate::engine::prompt::Prompt;
use serde::{Deserialize, Serialize};

/// Names one generation; events carry it so that late ones can be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub u64);

/// What the worker can be told.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Load a model in place of the present one.
    Load(ModelRequest),
    /// Give up the load under way, the download included; there is no model then.
    CancelLoad,
    /// Answer a prompt. Settings are replaced by later [`Command::Settings`].
    Generate {
        run: RunId,
        prompt: Prompt,
        settings: Settings,
    },
    /// The same prompt and seed, autoregressive beside self-speculative. The conversation's cache is left alone.
    Race {
        run: RunId,
        prompt: Prompt,
        settings: Settings,
    },
    /// What every layer would have said along the text that `run` generated; the answer comes in several
    /// [`Event::Lens`]. It waits for a generation that runs, and gives way to one that is asked for.
    Lens {
        run: RunId,
        settings: Settings,
    },
    /// The settings from the next round on.
    Settings(Settings),
    /// End the run after the token at hand; what it generated is kept.
    Cancel(RunId),
    /// Stop before the next phase of the running generation.
    Pause,
    /// While paused: one phase (draft of one token, verify) further.
    Step,
    Resume,
    Shutdown,
}

/// One side of a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lane {
    Autoregressive,
    SelfSpeculative,
}

/// What the worker reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Loading proceeds: what is being done and how far it is, 0 to 1 where that is known.
    Loading {
        stage: String,
        fraction: Option<f32>,
    },
    Loaded(ModelInfo),
    /// The model could not be loaded.
    LoadFailed(String),
    /// The load was given up.
    LoadCancelled,
    /// Prompt tokens computed so far; `cached` of `total` were found in the cache.
    Prefill {
        run: RunId,
        done: usize,
        total: usize,
        cached: usize,
    },
    /// A token was drafted in the round at hand; it settles with that round's [`Event::Round`].
    Drafted {
        run: RunId,
        id: u32,
        text: String,
        p_draft: f32,
    },
    Round {
        run: RunId,
        round: Box<Round>,
    },
    /// A round of one lane of a race; [`Event::Finished`] ends it.
    Race {
        run: RunId,
        lane: Lane,
        round: Box<Round>,
    },
    /// What every layer would have said at some positions of the text of `run`, in order; `of` positions in all.
    Lens {
        run: RunId,
        rows: Vec<LensRow>,
        of: usize,
        costs: Costs,
    },
    /// The run is paused before its next phase.
    Paused {
        run: RunId,
    },
    Finished {
        run: RunId,
        reason: StopReason,
        stats: Stats,
    },
    /// The run could not go on; the worker lives.
    Failed {
        run: RunId,
        message: String,
    },
}
