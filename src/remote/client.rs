//! The client of a remote engine: commands in, events out. It has its own thread, so that pings are answered while the
//! terminal is lent to another program.

use super::connection::{Connection, Fault, Target};
use super::{MAX_WAITING, Mode, Report, Request, Said};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{
    Command, Event, Failure, ModelEvent, RunEvent, RunId, Task, WorkerGone,
};
use crate::engine::{Error, Result};
use crate::transcript::{check_event, check_model, check_round};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{
    UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::sleep;

/// Delay before the first attempt to reconnect, and the longest one. It doubles with each attempt.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(15);

/// What the client reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A report of the server.
    Report(Box<Report>),
    /// The connection is lost, and the client reconnects. Active runs were reported as failed before.
    Lost(String),
    /// The connection is back.
    Restored,
    /// The connection is lost, and the client reconnects only at the next [`Command::Load`].
    GivenUp(String),
}

/// A connection that is restored whenever it breaks.
pub struct Client {
    /// Host and port of the server.
    pub host: String,
    requests: UnboundedSender<Request>,
    notices: UnboundedReceiver<(Notice, Option<OwnedSemaphorePermit>)>,
}

impl Client {
    /// Connects for the first time.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the client, or the thread cannot be started.
    pub fn connect(target: Target) -> Result<Self> {
        let (requests, incoming) = unbounded_channel();
        let (outgoing, notices) = unbounded_channel();
        let (sender, connected) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::io("the connection", error))?;
        let host = target.address.host().to_owned();
        let link = Link {
            target,
            requests: incoming,
            notices: outgoing,
            space: Arc::new(Semaphore::new(MAX_WAITING)),
            runs: HashSet::new(),
            load: None,
        };
        let body = move || runtime.block_on(link.run(sender));
        std::thread::Builder::new()
            .name("skiplens-remote".into())
            .spawn(body)
            .map_err(|error| Error::io("the connection", error))?;
        connected
            .blocking_recv()
            .map_err(|_| Error::Setting("the connection ended".into()))??;
        Ok(Self {
            host,
            requests,
            notices,
        })
    }

    /// Sends a command to the engine.
    ///
    /// # Errors
    /// If the client's thread is gone.
    pub fn send(&self, command: Command) -> Result<(), WorkerGone> {
        self.requests
            .send(Request::Command(command))
            .map_err(|_| WorkerGone)
    }

    /// Asks for the models of the server. They arrive as [`Report::Models`].
    pub fn find_models(&self) {
        // Without the thread there is nothing to find.
        let _ = self.requests.send(Request::Models);
    }

    /// The next notice; `None` if there will be no more.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await.map(|(notice, _)| notice)
    }

    /// The next notice that has already arrived.
    ///
    /// # Errors
    /// If there is none, or there will be no more.
    pub fn try_next(&mut self) -> Result<Notice, TryRecvError> {
        self.notices.try_recv().map(|(notice, _)| notice)
    }
}

/// The state of the client's thread.
struct Link {
    target: Target,
    requests: UnboundedReceiver<Request>,
    notices: UnboundedSender<(Notice, Option<OwnedSemaphorePermit>)>,
    /// Bytes of reports that may wait to be received.
    space: Arc<Semaphore>,
    /// Runs that were started and have not ended.
    runs: HashSet<RunId>,
    /// The last load, which is repeated on the next connection.
    load: Option<Command>,
}

/// The [`Client`] was dropped.
struct Gone;

impl Link {
    async fn run(mut self, first: oneshot::Sender<std::result::Result<(), Fault>>) {
        let mut connection = match self.target.connect().await {
            Ok(connection) => connection,
            Err(fault) => return drop(first.send(Err(fault))),
        };
        if first.send(Ok(())).is_err() {
            return connection.close().await;
        }
        loop {
            let fault = match self.serve(&mut connection).await {
                Ok(Gone) => return connection.close().await,
                Err(fault) => fault,
            };
            drop(connection);
            connection = match self.restore(fault).await {
                Ok(connection) => connection,
                Err(Gone) => return,
            };
        }
    }

    /// Forwards requests and reports until the connection breaks or the client is dropped.
    async fn serve(&mut self, connection: &mut Connection) -> std::result::Result<Gone, Fault> {
        loop {
            tokio::select! {
                request = self.requests.recv() => match request {
                    Some(request) => {
                        self.note(&request);
                        connection.send(&request).await?;
                    }
                    None => return Ok(Gone),
                },
                report = connection.next() => {
                    let (report, bytes) = report?;
                    if self.report(report, bytes).await?.is_none() {
                        return Ok(Gone);
                    }
                }
            }
        }
    }

    /// Remembers what to fail and what to repeat when the connection breaks.
    fn note(&mut self, request: &Request) {
        match request {
            Request::Command(Command::Start { run, task, .. }) if task.reports_its_end() => {
                self.runs.insert(*run);
            }
            Request::Command(load @ Command::Load(_)) => self.load = Some(load.clone()),
            _ => {}
        }
    }

    /// Checks a report and forwards it; `None` if the client was dropped.
    async fn report(
        &mut self,
        mut report: Report,
        bytes: usize,
    ) -> std::result::Result<Option<()>, Fault> {
        check(&report).map_err(Fault::Refused)?;
        if let Report::Event(Event::Run(run, RunEvent::Finished { .. } | RunEvent::Failed(_))) =
            &report
        {
            self.runs.remove(run);
        }
        let host = self.target.address.host();
        models(&mut report, |info| {
            // The paths are the server's.
            for path in std::iter::once(&mut info.path).chain(&mut info.exits_path) {
                *path = PathBuf::from(format!("{host}:{}", path.display()));
            }
            info.device = format!("{} at {host}", info.device);
        });
        let bytes = u32::try_from(bytes.clamp(1, MAX_WAITING)).unwrap_or(1);
        // The semaphore is never closed.
        let space = self.space.clone().acquire_many_owned(bytes).await.ok();
        let notice = Notice::Report(Box::new(report));
        Ok(self.notices.send((notice, space)).ok())
    }

    fn tell(&self, notice: Notice) -> std::result::Result<(), Gone> {
        self.notices.send((notice, None)).map_err(|_| Gone)
    }

    fn fail(&self, run: RunId, message: &str) -> std::result::Result<(), Gone> {
        let failure = Failure {
            kind: crate::engine::ErrorKind::Machine,
            message: message.to_owned(),
        };
        let event = Event::Run(run, RunEvent::Failed(failure));
        self.tell(Notice::Report(Box::new(Report::Event(event))))
    }

    /// Fails the active runs, and reconnects.
    async fn restore(&mut self, fault: Fault) -> std::result::Result<Connection, Gone> {
        let host = self.target.address.host().to_owned();
        let mut runs: Vec<RunId> = self.runs.drain().collect();
        runs.sort();
        for run in runs {
            self.fail(run, &format!("the connection to {host} was lost"))?;
        }
        let (mut fault, mut wait) = (fault, FIRST_WAIT);
        let refused = |fault: &Fault| matches!(fault, Fault::Refused(_));
        loop {
            match refused(&fault) {
                true => self.tell(Notice::GivenUp(fault.to_string()))?,
                false => self.tell(Notice::Lost(format!(
                    "no connection ({fault}); connecting again"
                )))?,
            }
            let mut tries = !refused(&fault);
            let pause = sleep(jittered(wait));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause, if tries => break,
                    request = self.requests.recv() => match request.ok_or(Gone)? {
                        Request::Command(load @ Command::Load(_)) => {
                            self.load = Some(load);
                            break;
                        }
                        Request::Command(Command::CancelLoad) => {
                            tries = false;
                            self.tell(Notice::GivenUp(format!("There is no connection to {host}.")))?;
                        }
                        Request::Command(Command::Start { run, task, .. }) if task != Task::Lens => {
                            self.fail(run, &format!("there is no connection to {host}"))?;
                        }
                        // Other requests refer to what the server has forgotten.
                        Request::Command(_) | Request::Models => {}
                    },
                }
            }
            fault = match self.reconnect().await {
                Ok(connection) => {
                    self.tell(Notice::Restored)?;
                    return Ok(connection);
                }
                Err(fault) => fault,
            };
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    async fn reconnect(&self) -> std::result::Result<Connection, Fault> {
        let mut connection = self.target.connect().await?;
        if let (Some(load), Mode::Engine) = (&self.load, self.target.mode) {
            connection.send(&Request::Command(load.clone())).await?;
        }
        Ok(connection)
    }
}

/// Checks every number of a report.
fn check(report: &Report) -> std::result::Result<(), String> {
    match report {
        Report::Event(event) => check_event(event),
        Report::Watched { said, .. } => match said {
            Said::Begun(watched) => check_model(&watched.model),
            Said::Round(round) => check_round(round),
            Said::Ended(_) | Said::Failed(_) => Ok(()),
        },
        Report::Missed { open, .. } => open
            .iter()
            .try_for_each(|(_, watched)| check_model(&watched.model)),
        Report::Models(_) => Ok(()),
    }
}

/// Changes every description of a model in a report.
fn models(report: &mut Report, mut change: impl FnMut(&mut ModelInfo)) {
    match report {
        Report::Event(Event::Model(ModelEvent::Loaded { info, .. })) => change(info),
        Report::Watched {
            said: Said::Begun(watched),
            ..
        } => change(&mut watched.model),
        Report::Missed { open, .. } => open
            .iter_mut()
            .for_each(|(_, watched)| change(&mut watched.model)),
        _ => {}
    }
}

/// `wait` and up to a quarter more, so that clients do not all reconnect at the same moment after a restart.
fn jittered(wait: Duration) -> Duration {
    let share = RandomState::new().hash_one(0) % 256;
    wait + wait.mul_f64(share as f64 / 1024.0)
}
