//! How commands come to the worker.

use super::{Command, Event, RunId};
use std::collections::VecDeque;
use std::sync::mpsc;
use tokio::sync::mpsc::UnboundedSender;

/// A command with the receiver of what comes of it.
pub(super) struct Envelope {
    pub command: Command,
    /// Where events of the run go that it starts; none for the worker's own.
    pub events: Option<UnboundedSender<Event>>,
}

/// The worker is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct WorkerGone;

/// Sends commands to the worker. When the last one is dropped, the worker ends.
#[derive(Debug, Clone)]
pub struct CommandSender(mpsc::Sender<Envelope>);

impl CommandSender {
    pub(super) fn channel() -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel();
        let waiting = VecDeque::new();
        (Self(sender), Inbox { receiver, waiting })
    }

    /// Sends a command; events of a run that it starts go to the worker's own receiver.
    ///
    /// # Errors
    /// Where the worker is gone.
    pub fn send(&self, command: Command) -> Result<(), WorkerGone> {
        let events = None;
        self.0
            .send(Envelope { command, events })
            .map_err(|_| WorkerGone)
    }

    /// As [`Self::send`]; events of the run go to `events`.
    ///
    /// # Errors
    /// Where the worker is gone.
    pub fn send_with(
        &self,
        command: Command,
        events: UnboundedSender<Event>,
    ) -> Result<(), WorkerGone> {
        let events = Some(events);
        self.0
            .send(Envelope { command, events })
            .map_err(|_| WorkerGone)
    }
}

/// Commands in their order; those that came during a run but are not for it wait here.
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Envelope>,
    waiting: VecDeque<Envelope>,
}

impl Inbox {
    /// The next command, waiting for it; none when there will be no more.
    pub fn next(&mut self) -> Option<Envelope> {
        self.waiting
            .pop_front()
            .or_else(|| self.receiver.recv().ok())
    }

    /// The next command that arrives during a run. Without `wait`, only one that is there already.
    pub fn arriving(&self, wait: bool) -> Result<Envelope, mpsc::TryRecvError> {
        if wait {
            self.receiver
                .recv()
                .map_err(|_| mpsc::TryRecvError::Disconnected)
        } else {
            self.receiver.try_recv()
        }
    }

    /// Keeps a command for after the run.
    pub fn defer(&mut self, envelope: Envelope) {
        self.waiting.push_back(envelope);
    }

    /// What came for a run before it began: everything that waits for it but another start.
    pub fn take_controls(&mut self, run: RunId) -> Vec<Command> {
        let is_control = |envelope: &Envelope| {
            envelope.command.run() == Some(run)
                && !matches!(envelope.command, Command::Start { .. })
        };
        let (controls, others) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<VecDeque<_>, _>(is_control);
        self.waiting = others;
        controls
            .into_iter()
            .map(|envelope| envelope.command)
            .collect()
    }
}
