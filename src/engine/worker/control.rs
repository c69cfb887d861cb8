//! Control of a run by commands that arrive while it runs: new settings, pause, single steps, cancelling.

use super::inbox::{Envelope, Inbox};
use super::{Command, ConversationId, Event, RunEvent, RunId};
use crate::engine::decode::{DraftToken, Observer, Phase, Round, Settings};
use crate::engine::turns::Turn;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

/// Interval of checking whether there is a permit.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The observer of a run on behalf of its client.
pub(super) struct RunControl<'a> {
    run: RunId,
    conversation: ConversationId,
    settings: Arc<Settings>,
    /// Whether the settings are newer than those last passed to the decoder.
    changed: bool,
    inbox: &'a mut Inbox,
    events: UnboundedSender<Event>,
    /// One permit per part of a lens that may be reported; `None` for no limit.
    lens_parts: Option<Arc<Semaphore>>,
    turn: Turn,
    paused: bool,
    /// Phases that may still run while paused.
    steps: usize,
    cancelled: bool,
}

impl<'a> RunControl<'a> {
    pub fn new(
        run: RunId,
        conversation: ConversationId,
        settings: Arc<Settings>,
        inbox: &'a mut Inbox,
        events: UnboundedSender<Event>,
        lens_parts: Option<Arc<Semaphore>>,
        turn: Turn,
    ) -> Self {
        let early = inbox.take_controls(run);
        let mut control = Self {
            run,
            conversation,
            settings,
            changed: false,
            inbox,
            events,
            lens_parts,
            turn,
            paused: false,
            steps: 0,
            cancelled: false,
        };
        early.into_iter().for_each(|command| control.apply(command));
        control
    }

    /// Waits for this thread's turn to compute.
    pub fn enter(&mut self) {
        self.turn.enter();
    }

    /// Reports an event to the client. If the client has gone, cancels the run.
    pub fn report(&mut self, event: RunEvent) {
        if self.events.send(Event::Run(self.run, event)).is_err() {
            self.cancelled = true;
        }
    }

    /// Reports a part of a lens, once there is a permit for it. Commands are carried out meanwhile, and other threads may
    /// compute.
    pub fn report_lens(&mut self, event: RunEvent) {
        if let Some(permits) = self.lens_parts.clone() {
            while !self.cancelled {
                if let Ok(permit) = permits.try_acquire() {
                    permit.forget();
                    break;
                }
                self.turn.leave();
                match self.inbox.next_within(POLL_INTERVAL) {
                    Ok(envelope) => self.take(envelope),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => self.cancelled = true,
                }
            }
            self.turn.enter();
        }
        if !self.cancelled {
            self.report(event);
        }
    }

    /// The newest settings.
    pub fn newest(&mut self) -> Arc<Settings> {
        self.read_inbox();
        self.changed = false;
        self.settings.clone()
    }

    fn read_inbox(&mut self) {
        while let Ok(envelope) = self.inbox.try_next(false) {
            self.take(envelope);
        }
    }

    /// Applies a command for this run, and defers all others, some of which end the run.
    fn take(&mut self, envelope: Envelope) {
        match &envelope.command {
            // Nothing is loading during a run.
            Command::CancelLoad => {}
            Command::Start {
                task: super::Task::Lens | super::Task::LensOf { .. },
                ..
            } => self.inbox.defer(envelope),
            Command::Start { conversation, .. } | Command::Forget { conversation } => {
                self.cancelled |= *conversation == self.conversation;
                self.inbox.defer(envelope);
            }
            Command::Load(_) | Command::Shutdown => {
                self.cancelled = true;
                self.inbox.defer(envelope);
            }
            command if command.run() == Some(self.run) => self.apply(envelope.command),
            _ => self.inbox.defer(envelope),
        }
    }

    fn apply(&mut self, command: Command) {
        match command {
            Command::Settings { settings, .. } => {
                self.settings = settings;
                self.changed = true;
            }
            Command::Cancel { .. } => self.cancelled = true,
            Command::Pause { .. } => self.paused = true,
            Command::Step { .. } => self.steps += 1,
            Command::Resume { .. } => (self.paused, self.steps) = (false, 0),
            _ => {}
        }
    }

    /// While paused, reports it and waits for commands until a step is allowed. Other threads may compute meanwhile.
    fn wait_while_paused(&mut self) {
        let mut reported = false;
        while self.paused && self.steps == 0 && !self.cancelled {
            if !reported {
                self.turn.leave();
                self.report(RunEvent::Paused);
                reported = true;
            }
            match self.inbox.try_next(true) {
                Ok(envelope) => self.take(envelope),
                Err(_) => self.cancelled = true,
            }
        }
        self.steps = self.steps.saturating_sub(usize::from(self.paused));
        self.turn.enter();
    }

    fn proceed(&self) -> ControlFlow<()> {
        match self.cancelled {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Observer for RunControl<'_> {
    fn prefill(&mut self, done: usize, total: usize, cached: usize) {
        self.report(RunEvent::Prefill {
            done,
            total,
            cached,
        });
    }

    fn drafted(&mut self, token: &DraftToken) {
        let DraftToken {
            id, text, p_draft, ..
        } = token.clone();
        self.report(RunEvent::Drafted { id, text, p_draft });
    }

    fn poll(&mut self, next: Phase) -> ControlFlow<()> {
        self.turn.pass();
        self.read_inbox();
        if next != Phase::Prefill {
            self.wait_while_paused();
        }
        self.proceed()
    }

    fn single_steps(&self) -> bool {
        self.paused
    }

    fn settings(&mut self) -> Option<Arc<Settings>> {
        self.read_inbox();
        std::mem::take(&mut self.changed).then(|| self.settings.clone())
    }

    fn round(&mut self, round: Round) -> ControlFlow<()> {
        self.report(RunEvent::Round(Box::new(round)));
        ControlFlow::Continue(())
    }
}
