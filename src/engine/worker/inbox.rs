//! The queue of commands to the worker.

use super::{Command, Event, RunId};
use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// A command and the receiver of its events.
pub(super) struct Envelope {
    pub command: Command,
    /// Receives the events of the run that it starts; `None` for the worker's own receiver.
    pub events: Option<UnboundedSender<Event>>,
    /// Released when the command has been carried out.
    pub held: Option<OwnedSemaphorePermit>,
}

/// The worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct WorkerGone;

/// Sends commands to the worker, which ends when the last sender is dropped.
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
    /// If the worker has ended.
    pub fn send(&self, command: Command) -> Result<(), WorkerGone> {
        self.put(command, None, None)
    }

    /// As [`Self::send`], but the command holds a permit until it has been carried out.
    ///
    /// # Errors
    /// If the worker has ended.
    pub fn send_held(
        &self,
        command: Command,
        space: OwnedSemaphorePermit,
    ) -> Result<(), WorkerGone> {
        self.put(command, None, Some(space))
    }

    /// As [`Self::send`], but events of the run go to `events`.
    ///
    /// # Errors
    /// If the worker has ended.
    pub fn send_with(
        &self,
        command: Command,
        events: UnboundedSender<Event>,
    ) -> Result<(), WorkerGone> {
        self.put(command, Some(events), None)
    }

    fn put(
        &self,
        command: Command,
        events: Option<UnboundedSender<Event>>,
        held: Option<OwnedSemaphorePermit>,
    ) -> Result<(), WorkerGone> {
        let envelope = Envelope {
            command,
            events,
            held,
        };
        self.0.send(envelope).map_err(|_| WorkerGone)
    }
}

/// Commands in order of arrival, including those that arrived during a run but are not for it.
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Envelope>,
    waiting: VecDeque<Envelope>,
}

impl Inbox {
    /// Waits for the next command; `None` if there will be no more.
    pub fn next(&mut self) -> Option<Envelope> {
        self.waiting
            .pop_front()
            .or_else(|| self.receiver.recv().ok())
    }

    /// The next command that arrives during a run. Without `wait`, only one that has already arrived.
    pub fn try_next(&self, wait: bool) -> Result<Envelope, mpsc::TryRecvError> {
        if wait {
            self.receiver
                .recv()
                .map_err(|_| mpsc::TryRecvError::Disconnected)
        } else {
            self.receiver.try_recv()
        }
    }

    /// The next command that arrives during a run within a time.
    pub fn next_within(&self, time: Duration) -> Result<Envelope, mpsc::RecvTimeoutError> {
        self.receiver.recv_timeout(time)
    }

    /// Defers a command until after the run.
    pub fn defer(&mut self, envelope: Envelope) {
        self.waiting.push_back(envelope);
    }

    /// Removes and returns the commands for `run` that arrived before it started, except the one that starts it.
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
