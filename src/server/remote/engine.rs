//! A client that uses an engine of its own: a worker that shares the weights of the server's models.

use super::frames::{End, Reader, Writer};
use super::models::Held;
use crate::engine::decode::Settings;
use crate::engine::worker::{
    self, Command, ConversationId, Event, Failure, RunEvent, RunId, Task, Worker,
};
use crate::engine::{Error, memory};
use crate::remote::{MAX_COMMAND, Report, Request, Watched};
use crate::server::Shared;
use crate::server::api::decoding::{MAX_SPECULATIONS, MAX_STOP_BYTES, MAX_TOP};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Max conversations of a client: each has a sequence.
const MAX_CONVERSATIONS: usize = 8;
/// Max bytes of commands that wait for the worker. Each counts at least [`LEAST`].
const MAX_QUEUED: usize = 2 * MAX_COMMAND;
const LEAST: usize = 1024;
/// Max events that wait for the network.
const MAX_EVENTS: usize = 1 << 14;
/// Events that are sent together.
const BATCH: usize = 64;
/// Free memory that a new conversation must leave.
const RESERVE: u64 = 64 << 20;

/// Runs that watchers follow, and their numbers there.
type Followed = Mutex<HashMap<RunId, u64>>;

fn lock(followed: &Followed) -> MutexGuard<'_, HashMap<RunId, u64>> {
    // The map is whole after each statement.
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves a client; returns why that ended. The place is given up once the worker has ended.
pub async fn serve(
    writer: &mut Writer,
    reader: &mut Reader,
    shared: &Arc<Shared>,
    stopped: &mut watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) -> End {
    let (models, held) = (shared.models.clone(), Held::default());
    let loader = move |request: &_, progress: &mut crate::engine::Progress<'_>| {
        models.load(request, &held, progress)
    };
    let Worker {
        commands,
        mut events,
        thread,
    } = match worker::spawn_with(loader) {
        Ok(worker) => worker,
        Err(error) => return format!("the server cannot start a thread: {error}"),
    };
    let (replies, mut ready) = channel(4);
    let followed = Followed::default();
    let mut bridge = Bridge {
        shared,
        commands,
        replies,
        followed: &followed,
        conversations: HashSet::new(),
        space: Arc::new(Semaphore::new(MAX_QUEUED)),
    };
    let end = tokio::select! {
        end = bridge.read(reader) => end,
        end = write(writer, &mut events, &mut ready, shared, &followed) => end,
        _ = stopped.wait_for(|stopped| *stopped) => "the server is ending".into(),
    };
    // The worker ends when nobody commands it or listens to it.
    drop((bridge, events));
    for (_, request) in lock(&followed).drain() {
        shared.watch.failed(request, "the client has left");
    }
    tokio::task::spawn_blocking(move || {
        let _ = thread.join();
        drop(place);
    });
    end
}

/// From the client to the worker.
struct Bridge<'a> {
    shared: &'a Arc<Shared>,
    commands: worker::CommandSender,
    replies: Sender<Report>,
    followed: &'a Followed,
    conversations: HashSet<ConversationId>,
    /// Bytes of commands that may wait.
    space: Arc<Semaphore>,
}

impl Bridge<'_> {
    async fn read(&mut self, reader: &mut Reader) -> End {
        loop {
            let text = match reader.next().await {
                Ok(text) => text,
                Err(end) => return end,
            };
            let request = match serde_json::from_str(&text) {
                Ok(request) => request,
                Err(error) => return format!("a frame that is no request: {error}"),
            };
            let size = text.len().clamp(LEAST, MAX_QUEUED);
            drop(text);
            match request {
                Request::Models => self.list().await,
                Request::Command(command) => {
                    let size = u32::try_from(size).unwrap_or(u32::MAX);
                    let Ok(space) = self.space.clone().acquire_many_owned(size).await else {
                        return End::new();
                    };
                    if let Err(end) = self.command(command, space).await {
                        return end;
                    }
                }
            }
        }
    }

    async fn list(&self) {
        let models = self.shared.models.clone();
        let listed = tokio::task::spawn_blocking(move || models.list()).await;
        // The writer has ended, and with it this client.
        let _ = self
            .replies
            .send(Report::Models(listed.unwrap_or_default()))
            .await;
    }

    async fn command(&mut self, command: Command, space: OwnedSemaphorePermit) -> Result<(), End> {
        match &command {
            Command::Shutdown => return Err(End::new()),
            Command::Forget { conversation } => {
                self.conversations.remove(conversation);
            }
            // Loading ends all conversations of the worker.
            Command::Load(_) => self.conversations.clear(),
            Command::Start {
                run,
                conversation,
                task,
                settings,
            } => {
                if let Err(error) = self.admit(*conversation, task, settings) {
                    let failed = RunEvent::Failed(Failure::from(error));
                    let report = Report::Event(Event::Run(*run, failed));
                    return self.replies.send(report).await.map_err(|_| End::new());
                }
                self.follow(*run, task);
            }
            Command::Settings { run, settings } => {
                // The run continues with the settings that it has.
                if let Err(error) = check(settings) {
                    tracing::warn!(run = run.0, "settings refused: {error}");
                    return Ok(());
                }
            }
            _ => {}
        }
        self.commands
            .send_held(command, space)
            .map_err(|_| "the engine has ended".into())
    }

    /// Checks what a local engine would be trusted with.
    fn admit(
        &mut self,
        conversation: ConversationId,
        task: &Task,
        settings: &Settings,
    ) -> crate::engine::Result<()> {
        check(settings)?;
        match task {
            Task::Race {
                against: Some(against),
                ..
            } => check(against)?,
            Task::Sweep { pairs, .. } if pairs.iter().any(|(_, k)| *k > MAX_SPECULATIONS) => {
                return Err(too_many_speculations());
            }
            Task::Score { top, .. } if *top > MAX_TOP => return Err(too_many_alternatives()),
            _ => {}
        }
        if self.conversations.contains(&conversation) {
            return Ok(());
        }
        if self.conversations.len() >= MAX_CONVERSATIONS {
            return Err(Error::Setting(format!(
                "this server keeps {MAX_CONVERSATIONS} conversations for each client; forget one"
            )));
        }
        if memory::available().is_some_and(|free| free < RESERVE) {
            return Err(Error::Setting(
                "the server has no memory left; try again later".into(),
            ));
        }
        self.conversations.insert(conversation);
        Ok(())
    }

    /// Tells watchers of a run that answers a prompt.
    fn follow(&self, run: RunId, task: &Task) {
        let (Task::Generate(prompt) | Task::GenerateWhole(prompt)) = task else {
            return;
        };
        let (prompt, chat) = super::super::watch::shown(prompt);
        let model = self.shared.entry.id.clone();
        let client = "engine".into();
        let begun = self.shared.watch.begin(Watched {
            client,
            prompt,
            chat,
            model,
        });
        // Clients choose the numbers of their runs, and may use one twice.
        if let Some(request) = begun
            && let Some(replaced) = lock(self.followed).insert(run, request)
        {
            self.shared
                .watch
                .failed(replaced, "its number was used again");
        }
    }
}

/// Checks settings that decide how much memory a round takes.
fn check(settings: &Settings) -> crate::engine::Result<()> {
    if settings.num_speculations > MAX_SPECULATIONS {
        return Err(too_many_speculations());
    }
    if settings.logprobs.is_some_and(|top| top > MAX_TOP) {
        return Err(too_many_alternatives());
    }
    let stops = settings.stop_strings.iter();
    if stops.map(String::len).sum::<usize>() > MAX_STOP_BYTES {
        return Err(Error::Setting(format!(
            "stop strings may have {MAX_STOP_BYTES} bytes together"
        )));
    }
    Ok(())
}

fn too_many_speculations() -> Error {
    Error::Setting(format!(
        "number of speculations may be 1 to {MAX_SPECULATIONS} on a server"
    ))
}

fn too_many_alternatives() -> Error {
    Error::Setting(format!(
        "{MAX_TOP} alternatives may be listed at a position"
    ))
}

/// From the worker to the client.
async fn write(
    writer: &mut Writer,
    events: &mut UnboundedReceiver<Event>,
    replies: &mut Receiver<Report>,
    shared: &Shared,
    followed: &Followed,
) -> End {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let sent = tokio::select! {
            count = events.recv_many(&mut batch, BATCH) => match count {
                0 => return "the engine has ended".into(),
                _ => send(writer, &mut batch, shared, followed).await,
            },
            Some(reply) = replies.recv() => match writer.put(&reply).await {
                Ok(()) => writer.flush().await,
                refused => refused,
            },
            () = writer.ping_is_due() => writer.ping().await,
        };
        if let Err(end) = sent {
            return end;
        }
        if events.len() > MAX_EVENTS {
            return "the client is too slow".into();
        }
    }
}

async fn send(
    writer: &mut Writer,
    batch: &mut Vec<Event>,
    shared: &Shared,
    followed: &Followed,
) -> Result<(), End> {
    for event in batch.drain(..) {
        if let Event::Run(run, event) = &event {
            publish(*run, event, shared, followed);
        }
        writer.put(&Report::Event(event)).await?;
    }
    writer.flush().await
}

/// Counts rounds, and shows them to watchers.
fn publish(run: RunId, event: &RunEvent, shared: &Shared, followed: &Followed) {
    if let RunEvent::Round(round) = event {
        shared.metrics.round(round);
    }
    let Some(request) = lock(followed).get(&run).copied() else {
        return;
    };
    match event {
        RunEvent::Round(round) => shared.watch.round(request, round),
        RunEvent::Finished { reason, .. } => shared.watch.ended(request, reason),
        RunEvent::Failed(failure) => shared.watch.failed(request, &failure.message),
        _ => return,
    }
    if !matches!(event, RunEvent::Round(_)) {
        lock(followed).remove(&run);
    }
}
