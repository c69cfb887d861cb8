//! A client that uses an engine of its own: a worker that shares the weights of the server's models.

use super::frames::{End, Reader, Writer, json};
use super::models::Held;
use crate::engine::decode::Settings;
use crate::engine::loaded_model::ModelInfo;
use crate::engine::worker::{
    self, Command, ConversationId, Event, Failure, ModelEvent, RunEvent, RunId, Task, Worker,
};
use crate::engine::{Error, memory};
use crate::error_text;
use crate::remote::{MAX_COMMAND, MAX_WAITING, Report, Request, Watched};
use crate::server::Shared;
use crate::server::api::decoding::{MAX_STOP_BYTES, MAX_TOP};
use crate::server::watch::shown;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::{
    Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Max conversations of a client: each has a sequence.
const MAX_CONVERSATIONS: usize = 8;
/// Max bytes of commands that wait for the worker, and the min that each counts as.
const MAX_QUEUED: usize = 2 * MAX_COMMAND;
const MIN_SIZE: usize = 1024;
/// Frames that are sent together.
const BATCH: usize = 64;
/// Max parts of a lens that wait for the client. The worker computes the next ones when it has read some.
const MAX_LENS_PARTS: usize = 8;
/// Free memory that a new conversation must leave.
const RESERVE: u64 = 64 << 20;

/// What watchers hear of a client.
#[derive(Default)]
struct Followed {
    /// The model that the client's worker has loaded.
    model: Option<Box<ModelInfo>>,
    /// Runs that answer a prompt and have not ended.
    runs: HashMap<RunId, Follow>,
}

/// A run that watchers follow.
enum Follow {
    /// It has reported nothing yet. What watchers will see of its prompt, and whether that is a conversation.
    Waiting(String, bool),
    /// Its number for watchers.
    Begun(u64),
}

/// Serves a client until the connection ends, and returns why it did. `place` is released once the worker has ended.
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
    let lens_parts = Arc::new(Semaphore::new(MAX_LENS_PARTS));
    let Worker {
        commands,
        mut events,
        thread,
    } = match worker::spawn_paced(loader, lens_parts.clone()) {
        Ok(worker) => worker,
        Err(error) => {
            return format!(
                "the server cannot start a thread: {}",
                error_text::io(&error)
            );
        }
    };
    let (replies, mut ready) = channel(4);
    let (frames, mut waiting) = unbounded_channel();
    let followed = Mutex::default();
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
        end = collect(&mut events, &mut ready, &frames, shared, &followed, &lens_parts) => end,
        end = write(writer, &mut waiting) => end,
        _ = stopped.wait_for(|stopped| *stopped) => "the server is ending".into(),
    };
    // The worker ends: it gets no more commands, and a run in progress fails to report.
    drop((bridge, events));
    for (_, follow) in lock(&followed).runs.drain() {
        if let Follow::Begun(request) = follow {
            shared.watch.failed(request, "the client has left");
        }
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
    followed: &'a Mutex<Followed>,
    conversations: HashSet<ConversationId>,
    /// Bytes of commands that may wait.
    space: Arc<Semaphore>,
}

impl Bridge<'_> {
    async fn read(&mut self, reader: &mut Reader) -> End {
        loop {
            let frame = match reader.next().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            let request = match serde_json::from_str(&frame) {
                Ok(request) => request,
                Err(error) => {
                    return format!("this frame is not a request: {}", error_text::json(&error));
                }
            };
            let size = frame.len().clamp(MIN_SIZE, MAX_QUEUED);
            drop(frame);
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

    /// Checks limits that a local engine does not need.
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
            Task::Sweep { pairs, .. }
                if pairs.iter().any(|(_, k)| *k > Settings::MAX_SPECULATIONS) =>
            {
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

    /// Remembers a run that answers a prompt, for watchers.
    fn follow(&self, run: RunId, task: &Task) {
        let (Task::Generate(prompt) | Task::GenerateWhole(prompt)) = task else {
            return;
        };
        if !self.shared.watch.is_allowed() {
            return;
        }
        let (prompt, chat) = shown(prompt);
        let follow = Follow::Waiting(prompt, chat);
        // Clients choose the numbers of their runs, and may use one twice.
        if let Some(Follow::Begun(replaced)) = lock(self.followed).runs.insert(run, follow) {
            let why = "its number was used again";
            self.shared.watch.failed(replaced, why);
        }
    }
}

/// Checks settings that decide how much memory a round takes.
fn check(settings: &Settings) -> crate::engine::Result<()> {
    if settings.num_speculations > Settings::MAX_SPECULATIONS {
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
        "number of speculations may be 1 to {}",
        Settings::MAX_SPECULATIONS
    ))
}

fn too_many_alternatives() -> Error {
    Error::Setting(format!(
        "{MAX_TOP} alternatives may be listed at a position"
    ))
}

/// A frame for the client, and the permits that it holds until it is sent.
type Frame = (String, Taken);

/// The queue space of a frame; a part of a lens also holds a permit, without which the worker computes no further ones.
struct Taken {
    _space: OwnedSemaphorePermit,
    lens_parts: Option<Arc<Semaphore>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(permits) = &self.lens_parts {
            permits.add_permits(1);
        }
    }
}

/// Collects what the client gets. The worker does not wait for the network: if more than [`MAX_WAITING`] bytes wait for
/// it, the client is cut off. Parts of a lens are computed as the client reads.
async fn collect(
    events: &mut UnboundedReceiver<Event>,
    replies: &mut Receiver<Report>,
    frames: &UnboundedSender<Frame>,
    shared: &Shared,
    followed: &Mutex<Followed>,
    lens_parts: &Arc<Semaphore>,
) -> End {
    let space = Arc::new(Semaphore::new(MAX_WAITING));
    loop {
        let report = tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    publish(&event, shared, &mut lock(followed));
                    Report::Event(event)
                }
                None => return "the engine has ended".into(),
            },
            Some(reply) = replies.recv() => reply,
        };
        let frame = match json(&report) {
            Ok(frame) => frame,
            Err(end) => return end,
        };
        let bytes = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let Ok(space) = space.clone().try_acquire_many_owned(bytes) else {
            let waiting = memory::human(MAX_WAITING as u64);
            return format!("the client is too slow: more than {waiting} wait for it");
        };
        let is_lens = matches!(report, Report::Event(Event::Run(_, RunEvent::Lens { .. })));
        let taken = Taken {
            _space: space,
            lens_parts: is_lens.then(|| lens_parts.clone()),
        };
        if frames.send((frame, taken)).is_err() {
            return End::new();
        }
    }
}

/// Sends frames, and pings in between.
async fn write(writer: &mut Writer, frames: &mut UnboundedReceiver<Frame>) -> End {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let sent = tokio::select! {
            count = frames.recv_many(&mut batch, BATCH) => match count {
                0 => return End::new(),
                _ => writer.send(&mut batch).await,
            },
            () = writer.ping_is_due() => writer.ping().await,
        };
        if let Err(end) = sent {
            return end;
        }
    }
}

/// Counts rounds, and shows them to watchers.
fn publish(event: &Event, shared: &Shared, followed: &mut Followed) {
    let (run, event) = match event {
        Event::Model(event) => {
            followed.model = match event {
                ModelEvent::Loaded { info, .. } => Some(info.clone()),
                _ => None,
            };
            return;
        }
        Event::Run(run, event) => (run, event),
    };
    if let RunEvent::Round(round) = event {
        shared.metrics.round(round);
    }
    let Some(follow) = followed.runs.get_mut(run) else {
        return;
    };
    if let (Follow::Waiting(prompt, chat), Some(model)) = (&mut *follow, &followed.model) {
        let begun = shared.watch.begin(Watched {
            client: "engine".into(),
            prompt: std::mem::take(prompt),
            chat: *chat,
            model: model.clone(),
        });
        if let Some(request) = begun {
            *follow = Follow::Begun(request);
        }
    }
    let ended = matches!(event, RunEvent::Finished { .. } | RunEvent::Failed(_));
    if let Follow::Begun(request) = *follow {
        match event {
            RunEvent::Round(round) => shared.watch.round(request, round),
            RunEvent::Finished { reason, .. } => shared.watch.ended(request, reason),
            RunEvent::Failed(failure) => shared.watch.failed(request, &failure.message),
            _ => {}
        }
    }
    if ended {
        followed.runs.remove(run);
    }
}

fn lock(followed: &Mutex<Followed>) -> MutexGuard<'_, Followed> {
    // It is whole after each statement.
    followed.lock().unwrap_or_else(PoisonError::into_inner)
}
