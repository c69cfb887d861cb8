//! One generation under the eyes of its owner: reports, settings that change, pause, single steps, cancelling.

use super::thread::Inbox;
use super::{Command, Event, RunId};
use crate::engine::decode::{
    Costs, Decoder, DraftToken, Phase, Session, Settings, Stats, StopReason, Watch,
};
use crate::engine::{Error, Result};
use std::ops::{ControlFlow, Range};
use tokio::sync::mpsc::UnboundedSender;

/// Positions of the lens told at once.
const LENS_PIECE: usize = 16;

/// Steers one generation by the commands that arrive while it runs.
pub(super) struct Steering<'a> {
    run: RunId,
    settings: Settings,
    inbox: &'a mut Inbox,
    events: &'a UnboundedSender<Event>,
    paused: bool,
    /// Phases that may still run while paused.
    steps: usize,
    cancelled: bool,
}

impl<'a> Steering<'a> {
    pub fn new(
        run: RunId,
        settings: Settings,
        inbox: &'a mut Inbox,
        events: &'a UnboundedSender<Event>,
    ) -> Self {
        Self {
            run,
            settings,
            inbox,
            events,
            paused: false,
            steps: 0,
            cancelled: false,
        }
    }

    /// Generates until the run stops, telling every round. Cancelling is a way to stop, not an error.
    pub fn generate(
        &mut self,
        decoder: &mut Decoder,
        session: &mut Session,
        prompt: &[u32],
    ) -> Result<(StopReason, Stats)> {
        let settings = self.settings.clone();
        let mut run = match decoder.begin(session, prompt, &settings, self) {
            Err(Error::Cancelled) => return Ok((StopReason::Cancelled, Stats::default())),
            begun => begun?,
        };
        loop {
            if let Some(reason) = run.stop() {
                return Ok((reason.clone(), run.stats().clone()));
            }
            let settings = self.settings();
            match decoder.round(session, &mut run, &settings, self) {
                Ok(round) => self.tell(Event::Round {
                    run: self.run,
                    round: Box::new(round),
                }),
                Err(Error::Cancelled) => return Ok((StopReason::Cancelled, run.stats().clone())),
                Err(error) => return Err(error),
            }
        }
    }

    pub fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub fn run(&self) -> RunId {
        self.run
    }

    /// The newest settings.
    pub fn settings(&mut self) -> Settings {
        self.read_inbox();
        self.settings.clone()
    }

    /// Computes the lens over `positions` of the session's text and tells it piece by piece. Whatever else is asked of
    /// the worker meanwhile ends it.
    pub fn lens(
        &mut self,
        decoder: &mut Decoder,
        session: &mut Session,
        positions: Range<usize>,
        costs: &Costs,
    ) -> Result<()> {
        let settings = self.settings();
        let of = positions.len();
        for start in positions.clone().step_by(LENS_PIECE) {
            match decoder.lens(
                session,
                start..positions.end.min(start + LENS_PIECE),
                &settings,
                self,
            ) {
                Ok(rows) => self.tell(Event::Lens {
                    run: self.run,
                    rows,
                    of,
                    costs: costs.clone(),
                }),
                Err(Error::Cancelled) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn read_inbox(&mut self) {
        while let Ok(command) = self.inbox.arriving(false) {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Settings(settings) => self.settings = settings,
            Command::Cancel(run) => self.cancelled |= run == self.run,
            Command::Lens { .. } => self.inbox.postpone(command),
            // Nothing is loading while something is generated.
            Command::CancelLoad => {}
            Command::Pause => self.paused = true,
            Command::Step => self.steps += 1,
            Command::Resume => (self.paused, self.steps) = (false, 0),
            // A new model, a new prompt or the end of the program end this generation.
            Command::Load(_)
            | Command::Generate { .. }
            | Command::Race { .. }
            | Command::Shutdown => {
                self.cancelled = true;
                self.inbox.postpone(command);
            }
        }
    }

    /// While paused: tells so and waits for commands until a step is allowed.
    fn wait_while_paused(&mut self) {
        let mut told = false;
        while self.paused && self.steps == 0 && !self.cancelled {
            if !told {
                self.tell(Event::Paused { run: self.run });
                told = true;
            }
            match self.inbox.arriving(true) {
                Ok(command) => self.take(command),
                Err(_) => self.cancelled = true,
            }
        }
        self.steps = self.steps.saturating_sub(usize::from(self.paused));
    }
}

impl Watch for Steering<'_> {
    fn prefill(&mut self, done: usize, total: usize, cached: usize) {
        self.tell(Event::Prefill {
            run: self.run,
            done,
            total,
            cached,
        });
    }

    fn drafted(&mut self, token: &DraftToken) {
        let DraftToken {
            id, text, p_draft, ..
        } = token.clone();
        self.tell(Event::Drafted {
            run: self.run,
            id,
            text,
            p_draft,
        });
    }

    fn checkpoint(&mut self, next: Phase) -> ControlFlow<()> {
        self.read_inbox();
        if next != Phase::Prefill {
            self.wait_while_paused();
        }
        if self.cancelled {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
