//! Loads a model on a separate thread, so that the worker can abandon it at any time: a download may stall for minutes.

use super::inbox::{Envelope, Inbox};
use super::thread::panic_message;
use super::{Command, Event, Failure, ModelEvent};
use crate::engine::Progress;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::loaded_model::ModelRequest;
use crate::engine::{ErrorKind, Result};
use crate::error_text;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Loads the model of a request.
pub trait Loader:
    Fn(&ModelRequest, &mut Progress) -> Result<LoadedModel> + Send + Sync + 'static
{
}
impl<F: Fn(&ModelRequest, &mut Progress) -> Result<LoadedModel> + Send + Sync + 'static> Loader
    for F
{
}

/// Interval of polling for commands while no progress is reported.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How a load ended.
pub(super) enum Outcome {
    Loaded(Box<LoadedModel>),
    Failed(Failure),
    /// By [`Command::CancelLoad`].
    Cancelled,
    /// By another load or a shutdown, which stays in the inbox.
    Superseded,
}

/// A message of the loading thread.
enum Report {
    Progress(String, Option<f32>),
    Ended(Outcome),
}

/// Loads a model, controlled by commands that arrive while it runs. An abandoned load ends at its next report; its
/// partial download stays in the cache for the next attempt.
pub(super) fn load(
    loader: &Arc<dyn Loader>,
    request: &ModelRequest,
    inbox: &mut Inbox,
    events: &UnboundedSender<Event>,
) -> Outcome {
    let (sender, reports) = mpsc::channel();
    let (loader, request) = (loader.clone(), request.clone());
    let thread = std::thread::Builder::new().name("skiplens-loader".into());
    match thread.spawn(move || run(&*loader, &request, &sender)) {
        Ok(_) => follow(&reports, inbox, events),
        Err(error) => Outcome::Failed(Failure {
            kind: ErrorKind::Machine,
            message: format!(
                "cannot start a thread to load the model: {}",
                error_text::io(&error)
            ),
        }),
    }
}

/// Forwards reports until the load has ended or is abandoned, after which nothing receives them.
fn follow(
    reports: &Receiver<Report>,
    inbox: &mut Inbox,
    events: &UnboundedSender<Event>,
) -> Outcome {
    loop {
        match reports.recv_timeout(POLL_INTERVAL) {
            Ok(Report::Progress(stage, fraction)) => {
                let loading = ModelEvent::Loading { stage, fraction };
                drop(events.send(Event::Model(loading)));
            }
            Ok(Report::Ended(outcome)) => return outcome,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Outcome::Failed(Failure::internal("loading ended without a model"));
            }
        }
        loop {
            match inbox.try_next(false) {
                Ok(Envelope {
                    command: Command::CancelLoad,
                    ..
                }) => return Outcome::Cancelled,
                Ok(envelope) => {
                    let supersedes =
                        matches!(envelope.command, Command::Load(_) | Command::Shutdown);
                    inbox.defer(envelope);
                    if supersedes {
                        return Outcome::Superseded;
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Outcome::Superseded,
            }
        }
    }
}

/// The loading thread. Once nothing receives its reports, it unwinds, which closes files and releases locks; the
/// download library cannot be stopped in any other way.
fn run(loader: &dyn Loader, request: &ModelRequest, sender: &Sender<Report>) {
    struct Abandoned;
    let mut report = |stage: &str, fraction| {
        if sender
            .send(Report::Progress(stage.to_owned(), fraction))
            .is_err()
        {
            resume_unwind(Box::new(Abandoned));
        }
    };
    let outcome = match catch_unwind(AssertUnwindSafe(|| loader(request, &mut report))) {
        Ok(Ok(loaded)) => Outcome::Loaded(Box::new(loaded)),
        Ok(Err(error)) => Outcome::Failed(error.into()),
        Err(panic) if panic.is::<Abandoned>() => return,
        Err(panic) => {
            let message = format!("internal error: {}", panic_message(&*panic));
            Outcome::Failed(Failure::internal(message))
        }
    };
    let _ = sender.send(Report::Ended(outcome));
}
