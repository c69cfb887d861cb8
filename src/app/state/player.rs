//! A saved session that is replayed on the screen in place of the chat.

use super::{State, what_if::Lens};
use crate::engine::worker::RunId;
use crate::transcript::{self, ModelRecord, Replay, Session};
use std::sync::Arc;
use std::time::Duration;

/// Upper bound of one wait, so that its end can always be represented.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A replay and the screen that it fills. Nothing of it reaches the engine or a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayScreen {
    pub player: Player,
    pub state: State,
}

/// The session that is replayed.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    pub(in crate::app) session: Arc<Session>,
    pub(in crate::app) replay: Replay,
    /// Whether the program does nothing else: to leave the replay is to quit.
    alone: bool,
    /// The turn of the session that was opened last.
    pub(in crate::app) turn: Option<usize>,
    /// Time of the last tick; none if anything but time has moved the replay since.
    pub(in crate::app) last: Option<Duration>,
    /// Whether the mouse holds the track.
    pub(in crate::app) scrubbing: bool,
}

/// What a replay is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    Playing,
    Paused,
    Over,
}

impl Player {
    pub(in crate::app) fn new(session: Arc<Session>, alone: bool) -> Self {
        Self {
            replay: Replay::new(session.clone()),
            session,
            alone,
            turn: None,
            last: None,
            scrubbing: false,
        }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn course(&self) -> Course {
        match () {
            () if self.replay.is_over() => Course::Over,
            () if self.replay.is_paused() => Course::Paused,
            () => Course::Playing,
        }
    }

    /// Speed as a multiple of the session's own; infinite for no waiting.
    pub fn speed(&self) -> f64 {
        self.replay.speed()
    }

    /// Rounds played, and rounds in all.
    pub fn progress(&self) -> (usize, usize) {
        self.replay.progress()
    }

    /// Whether there is no chat to go back to.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    fn run(&self, turn: usize, id: RunId) -> Option<&transcript::Run> {
        let runs = &self.session.turns.get(turn)?.runs;
        runs.iter().find(|run| run.run == id)
    }

    /// What the journal holds of the layers for a run.
    pub(in crate::app) fn lens(&self, turn: usize, id: RunId) -> Option<Box<Lens>> {
        let lens = self.run(turn, id)?.lens.as_deref()?;
        Some(Box::new(Lens::kept(lens)))
    }

    /// The model of a run.
    pub(in crate::app) fn model(&self, turn: usize, id: RunId) -> Option<ModelRecord> {
        self.session.model_of(self.run(turn, id)?).cloned()
    }

    /// How long after the last tick the next event comes.
    pub(in crate::app) fn due_in(&self) -> Option<Duration> {
        let wait = self.replay.due_in()?;
        match self.last {
            None => Some(Duration::ZERO),
            Some(_) => {
                Some(Duration::try_from_secs_f64(wait).map_or(MAX_WAIT, |wait| wait.min(MAX_WAIT)))
            }
        }
    }
}
