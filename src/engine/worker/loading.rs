//! Loading a model on a thread of its own, so that the worker can turn away from it at any time: a download may stand
//! still for minutes.

use super::inbox::{Envelope, Inbox};
use super::thread::panic_message;
use super::{Command, Event, Failure, ModelEvent};
use crate::engine::Progress;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::loaded_model::ModelRequest;
use crate::engine::{ErrorKind, Result};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// How a worker comes to a model.
pub trait Loader:
    Fn(&ModelRequest, &mut Progress) -> Result<LoadedModel> + Send + Sync + 'static
{
}
impl<F: Fn(&ModelRequest, &mut Progress) -> Result<LoadedModel> + Send + Sync + 'static> Loader
    for F
{
}

/// How long a command may wait while nothing is reported.
const GLANCE: Duration = Duration::from_millis(20);

/// How a load ended.
pub(super) enum Outcome {
    Loaded(Box<LoadedModel>),
    Failed(Failure),
    /// As [`Command::CancelLoad`] wished.
    Cancelled,
    /// Another load or the end of the program came between; it waits in the inbox.
    Superseded,
}

/// What the loading thread says.
enum Report {
    Progress(String, Option<f32>),
    Ended(Outcome),
}

/// Loads a model under the eyes of the inbox. A load that is given up ends at its next report; what it has downloaded
/// by then stays in the cache, to be continued.
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
            message: format!("the system gives no thread to load the model: {error}"),
        }),
    }
}

/// Passes on what is reported, until the load has ended or is to be given up: then nobody listens to it any more.
fn follow(
    reports: &Receiver<Report>,
    inbox: &mut Inbox,
    events: &UnboundedSender<Event>,
) -> Outcome {
    loop {
        match reports.recv_timeout(GLANCE) {
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
            match inbox.arriving(false) {
                Ok(Envelope {
                    command: Command::CancelLoad,
                    ..
                }) => return Outcome::Cancelled,
                Ok(envelope) => {
                    let leaves = matches!(envelope.command, Command::Load(_) | Command::Shutdown);
                    inbox.defer(envelope);
                    if leaves {
                        return Outcome::Superseded;
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Outcome::Superseded,
            }
        }
    }
}

/// The loading thread. When nobody listens any more it unwinds out of whatever it is in, which closes files and gives
/// back locks; the library that downloads knows no other way to stop.
fn run(loader: &dyn Loader, request: &ModelRequest, sender: &Sender<Report>) {
    struct GivenUp;
    let mut report = |stage: &str, fraction| {
        if sender
            .send(Report::Progress(stage.to_owned(), fraction))
            .is_err()
        {
            resume_unwind(Box::new(GivenUp));
        }
    };
    let outcome = match catch_unwind(AssertUnwindSafe(|| loader(request, &mut report))) {
        Ok(Ok(loaded)) => Outcome::Loaded(Box::new(loaded)),
        Ok(Err(error)) => Outcome::Failed(error.into()),
        Err(panic) if panic.is::<GivenUp>() => return,
        Err(panic) => {
            let message = format!("a fault in the program: {}", panic_message(&*panic));
            Outcome::Failed(Failure::internal(message))
        }
    };
    let _ = sender.send(Report::Ended(outcome));
}
