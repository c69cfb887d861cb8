//! A run from its prompt to its end.

use super::decoder::{Decoder, Run};
use super::{Observer, Session, Settings, Stats, StopReason};
use crate::engine::{Error, Result};
use std::sync::Arc;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Why it ended.
    pub stop: StopReason,
    /// Its statistics.
    pub stats: Stats,
}

impl Decoder {
    /// Continues `prompt` until the run stops, and passes every round to the observer. The settings apply until the
    /// observer returns newer ones. Cancelling stops the run and is not an error.
    ///
    /// # Errors
    /// As [`Decoder::begin`] and [`Decoder::round`], except for cancelling.
    pub fn run_to_end(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        settings: impl Into<Arc<Settings>>,
        observer: &mut dyn Observer,
    ) -> Result<Finished> {
        let mut settings = settings.into();
        let mut run = match self.begin(session, prompt, &settings, observer) {
            Err(Error::Cancelled) => return Ok(Finished::before_it_began()),
            begun => begun?,
        };
        while run.stop().is_none() {
            self.advance(session, &mut run, &mut settings, observer)?;
        }
        Ok(Finished::of(&run))
    }

    /// Decodes one round of a run, with newer settings if the observer returns any. Cancelling stops the run.
    ///
    /// # Errors
    /// As [`Decoder::round`], except for cancelling.
    pub fn advance(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        settings: &mut Arc<Settings>,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if let Some(newer) = observer.settings() {
            *settings = newer;
        }
        let ends = match self.round(session, run, settings, observer) {
            Ok(round) => observer.round(round).is_break(),
            Err(Error::Cancelled) => true,
            Err(error) => return Err(error),
        };
        if ends {
            run.cancel();
        }
        Ok(())
    }
}

impl Finished {
    /// The result of a run that has stopped or is abandoned.
    pub fn of(run: &Run) -> Self {
        Self {
            stop: run.stop().cloned().unwrap_or(StopReason::Cancelled),
            stats: run.stats().clone(),
        }
    }

    /// The result of a run that was cancelled before its first round.
    pub fn before_it_began() -> Self {
        Self {
            stop: StopReason::Cancelled,
            stats: Stats::default(),
        }
    }
}
