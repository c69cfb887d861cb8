//! Jobs of the engine, and their updates.

use crate::engine::decode::{Round, Settings, Stats, StopReason, TokenScore};
use crate::server::error::ApiError;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::UnboundedSender;

/// The work for one request.
pub struct Job {
    pub items: Vec<Item>,
    /// Receives the updates, whose number is bounded by the items. Dropping the receiver cancels the job.
    pub updates: UnboundedSender<Update>,
    pub asked_at: Instant,
}

/// A prompt, and the work on it.
pub struct Item {
    pub prompt: Arc<[u32]>,
    /// Whether the prompt itself is scored.
    pub scoring: Option<Scoring>,
    /// The prompt as shown to watchers, and whether it is a conversation.
    pub shown: (String, bool),
    /// The settings of each continuation.
    pub choices: Vec<Arc<Settings>>,
}

/// How a prompt is scored.
#[derive(Debug, Clone, Copy)]
pub struct Scoring {
    /// Number of layers to score after; `None` for all.
    pub exit_layer: Option<usize>,
    /// Number of alternatives at each position.
    pub top: usize,
}

/// Progress of a job. Choices are numbered over all items.
pub enum Update {
    /// The job is no longer waiting.
    Started {
        waited: f64,
    },
    /// The prompt of the next choice was scored, except for its first token.
    Scored {
        scores: Vec<TokenScore>,
        seconds: f64,
    },
    Round {
        choice: usize,
        round: Box<Round>,
    },
    /// A choice is complete. `cached` tokens of its prompt were in the cache.
    Ended {
        choice: usize,
        stop: StopReason,
        stats: Stats,
        cached: usize,
    },
    /// The job failed. Nothing follows.
    Failed(ApiError),
    /// The job is done. Nothing follows.
    Done,
}
