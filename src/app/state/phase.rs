//! What the engine is doing.

use crate::engine::worker::RunId;

/// What the engine is doing. Events of runs other than the phase's are dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Idle,
    Loading {
        stage: String,
        fraction: Option<f32>,
        /// The user has cancelled it; the engine has yet to confirm.
        cancelling: bool,
    },
    Prefill {
        run: Run,
        done: usize,
        total: usize,
        cached: usize,
    },
    Generating {
        run: Run,
    },
    Paused {
        run: Run,
    },
    /// The model could not be loaded, or a run failed; the message says what to do.
    Failed {
        message: String,
        /// False if its thread has ended: nothing more can be loaded.
        engine_lives: bool,
    },
}

/// A running generation. Its turn is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    /// To be paused before its next phase.
    pub pausing: bool,
    /// Cancelled; the engine has yet to confirm.
    pub cancelling: bool,
}

/// A model that one key loads while none is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub model: Option<String>,
    /// What the key does, in a few words.
    pub label: &'static str,
}

impl Phase {
    /// Loading, before any progress report.
    pub(in crate::app) fn opening() -> Self {
        Self::Loading {
            stage: "opening the model".into(),
            fraction: None,
            cancelling: false,
        }
    }
}
