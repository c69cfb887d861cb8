//! The engine of the playground: a local worker, or a remote server.

use crate::app::{Link, Msg};
use crate::engine::worker::{Command, CommandSender, Event, Worker};
use crate::remote::{Client, Notice, Report};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

/// A local or remote engine.
pub enum Engine {
    Local {
        commands: CommandSender,
        events: UnboundedReceiver<Event>,
    },
    Remote(Client),
}

impl From<Worker> for Engine {
    fn from(worker: Worker) -> Self {
        let Worker {
            commands, events, ..
        } = worker;
        Self::Local { commands, events }
    }
}

impl Engine {
    /// Sends a command. If the engine has ended, [`Self::next`] reports it.
    pub fn send(&self, command: Command) {
        let _ = match self {
            Self::Local { commands, .. } => commands.send(command),
            Self::Remote(client) => client.send(command),
        };
    }

    /// The client, if the engine is remote.
    pub fn remote(&self) -> Option<&Client> {
        match self {
            Self::Local { .. } => None,
            Self::Remote(client) => Some(client),
        }
    }

    /// The next message; [`Msg::EngineGone`] after the last.
    pub async fn next(&mut self) -> Msg {
        let msg = match self {
            Self::Local { events, .. } => events.recv().await.map(Msg::Engine),
            Self::Remote(client) => client.next().await.map(message),
        };
        msg.unwrap_or(Msg::EngineGone)
    }

    /// The next message that has already arrived, if there is one.
    pub fn try_next(&mut self) -> Option<Msg> {
        let msg = match self {
            Self::Local { events, .. } => events.try_recv().map(Msg::Engine),
            Self::Remote(client) => client.try_next().map(message),
        };
        match msg {
            Ok(msg) => Some(msg),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Msg::EngineGone),
        }
    }
}

fn message(notice: Notice) -> Msg {
    match notice {
        Notice::Report(report) => match *report {
            Report::Event(event) => Msg::Engine(event),
            Report::Models(models) => Msg::Models(models),
            Report::Watched { request, said } => Msg::Watched { request, said },
            Report::Missed { reports, open } => Msg::Missed { reports, open },
        },
        Notice::Lost(why) => Msg::Link(Link::Lost(why)),
        Notice::Restored => Msg::Link(Link::Restored),
        Notice::GivenUp(why) => Msg::Link(Link::GivenUp(why)),
    }
}
