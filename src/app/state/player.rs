//! A saved session replayed in place of the chat.

use super::{State, what_if::Lens};
use crate::engine::worker::RunId;
use crate::transcript::{self, ModelRecord, Replay, Session};
use std::sync::Arc;
use std::time::Duration;

/// Upper bound of one wait, so that deadlines do not overflow.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A replay and its screen. It never reaches the engine or a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayScreen {
    pub player: Player,
    pub state: State,
}

/// The replayed session.
#[derive(Debug, Clone, PartialEq)]
pub struct Player {
    pub(in crate::app) session: Arc<Session>,
    pub(in crate::app) replay: Replay,
    /// Whether the program only replays: leaving the replay quits.
    alone: bool,
    /// The last opened turn of the session.
    pub(in crate::app) turn: Option<usize>,
    /// Time of the last tick; `None` if the replay was moved since.
    pub(in crate::app) last: Option<Duration>,
    /// Whether the mouse holds the track.
    pub(in crate::app) scrubbing: bool,
}

/// The state of a replay.
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

    /// Speed as a multiple of the recorded speed; infinite to skip all waits.
    pub fn speed(&self) -> f64 {
        self.replay.speed()
    }

    /// Rounds played, and the total.
    pub fn progress(&self) -> (usize, usize) {
        self.replay.progress()
    }

    /// Whether there is no chat to return to.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    fn run(&self, turn: usize, id: RunId) -> Option<&transcript::Run> {
        let runs = &self.session.turns.get(turn)?.runs;
        runs.iter().find(|run| run.run == id)
    }

    /// The lens of a run, if the journal has one.
    pub(in crate::app) fn lens(&self, turn: usize, id: RunId) -> Option<Box<Lens>> {
        let lens = self.run(turn, id)?.lens.as_deref()?;
        Some(Box::new(Lens::kept(lens)))
    }

    /// The model of a run.
    pub(in crate::app) fn model(&self, turn: usize, id: RunId) -> Option<ModelRecord> {
        self.session.model_of(self.run(turn, id)?).cloned()
    }

    /// Time from the last tick to the next event.
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
