//! The thread itself: takes commands one by one, and outlives whatever panics in one of them.

use super::generation::Steering;
use super::loading::{self, Loader, Outcome};
use super::{Command, Event, RunId};
use crate::engine::Result;
use crate::engine::decode::{Costs, Session, Settings, Stats, StopReason};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::loaded_model::ModelRequest;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The worker as its owner sees it. Dropping the command sender ends the thread.
pub struct Worker {
    pub commands: mpsc::Sender<Command>,
    pub events: UnboundedReceiver<Event>,
    pub thread: JoinHandle<()>,
}

/// Starts the worker. It holds no model until [`Command::Load`].
///
/// Fails when the system gives no thread.
pub fn spawn() -> std::io::Result<Worker> {
    spawn_with(LoadedModel::load)
}

/// Starts a worker that loads models in a way of the caller's own.
///
/// Fails when the system gives no thread.
pub fn spawn_with(loader: impl Loader) -> std::io::Result<Worker> {
    let (commands, inbox) = mpsc::channel();
    let (sender, events) = unbounded_channel();
    let body = move || {
        Thread {
            inbox: Inbox::new(inbox),
            events: sender,
            loader: Arc::new(loader),
            loaded: None,
        }
        .run()
    };
    let thread = std::thread::Builder::new()
        .name("skiplens-worker".into())
        .spawn(body)?;
    Ok(Worker {
        commands,
        events,
        thread,
    })
}

/// Commands in their order; those that came during a generation but are not for it wait here.
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Command>,
    waiting: VecDeque<Command>,
}

impl Inbox {
    fn new(receiver: mpsc::Receiver<Command>) -> Self {
        Self {
            receiver,
            waiting: VecDeque::new(),
        }
    }

    /// The next command, waiting for it; none when there will be no more.
    fn next(&mut self) -> Option<Command> {
        self.waiting
            .pop_front()
            .or_else(|| self.receiver.recv().ok())
    }

    /// The next command that arrives during a generation. Without `wait`, only one that is there already.
    pub fn arriving(&self, wait: bool) -> std::result::Result<Command, mpsc::TryRecvError> {
        if wait {
            self.receiver
                .recv()
                .map_err(|_| mpsc::TryRecvError::Disconnected)
        } else {
            self.receiver.try_recv()
        }
    }

    /// Keeps a command for after the generation.
    pub fn postpone(&mut self, command: Command) {
        self.waiting.push_back(command);
    }
}

struct Loaded {
    model: LoadedModel,
    session: Session,
    /// The last generation and where in the session's text it begins.
    last: Option<(RunId, usize)>,
    /// Measured once asked for.
    costs: Option<Costs>,
}

struct Thread {
    inbox: Inbox,
    events: UnboundedSender<Event>,
    loader: Arc<dyn Loader>,
    loaded: Option<Loaded>,
}

impl Thread {
    fn run(mut self) {
        while let Some(command) = self.inbox.next() {
            match command {
                Command::Shutdown => return,
                Command::Load(request) => self.load(&request),
                Command::Generate {
                    run,
                    prompt,
                    settings,
                } => self.steered(run, settings, |steering, loaded| {
                    let ids = loaded.model.encode(&prompt)?;
                    loaded.last = Some((run, ids.len()));
                    steering
                        .generate(&mut loaded.model.decoder, &mut loaded.session, &ids)
                        .map(Some)
                }),
                Command::Race {
                    run,
                    prompt,
                    settings,
                } => self.steered(run, settings, |steering, loaded| {
                    let ids = loaded.model.encode(&prompt)?;
                    let decoder = &mut loaded.model.decoder;
                    let (mut plain, mut speculative) = (decoder.session()?, decoder.session()?);
                    steering
                        .race(decoder, &mut plain, &mut speculative, &ids)
                        .map(Some)
                }),
                Command::Lens { run, settings } => {
                    self.steered(run, settings, |steering, loaded| {
                        lens(steering, loaded).map(|()| None)
                    })
                }
                // Without a load or a generation there is nothing for these to act on.
                Command::CancelLoad
                | Command::Settings(_)
                | Command::Cancel(_)
                | Command::Pause
                | Command::Step
                | Command::Resume => {}
            }
        }
    }

    /// A receiver that is gone means that the program ends; nobody is left to tell.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn load(&mut self, request: &ModelRequest) {
        self.loaded = None;
        let outcome = loading::load(&self.loader, request, &mut self.inbox, &self.events);
        match outcome {
            Outcome::Loaded(model) => match model.decoder.session() {
                Ok(session) => {
                    self.tell(Event::Loaded(model.info.clone()));
                    self.loaded = Some(Loaded {
                        model: *model,
                        session,
                        last: None,
                        costs: None,
                    });
                }
                Err(error) => self.tell(Event::LoadFailed(error.to_string())),
            },
            Outcome::Failed(message) => self.tell(Event::LoadFailed(message)),
            Outcome::Cancelled => self.tell(Event::LoadCancelled),
            Outcome::Superseded => {}
        }
    }

    /// Does `work` under the steering of the commands that arrive meanwhile, and tells how it ended.
    fn steered(
        &mut self,
        run: RunId,
        settings: Settings,
        work: impl FnOnce(&mut Steering<'_>, &mut Loaded) -> Result<Option<(StopReason, Stats)>>,
    ) {
        let Some(loaded) = &mut self.loaded else {
            return self.tell(Event::Failed {
                run,
                message: "no model is loaded".into(),
            });
        };
        let mut steering = Steering::new(run, settings, &mut self.inbox, &self.events);
        match catch_unwind(AssertUnwindSafe(|| work(&mut steering, loaded))) {
            Ok(Ok(Some((reason, stats)))) => self.tell(Event::Finished { run, reason, stats }),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => self.tell(Event::Failed {
                run,
                message: error.to_string(),
            }),
            Err(panic) => {
                // What the panic left of the session cannot be trusted.
                loaded.session.truncate(0);
                let message = format!("a fault in the program: {}", panic_message(&*panic));
                self.tell(Event::Failed { run, message });
            }
        }
    }
}

/// The lens over the text of the last generation; nothing if that is not the one asked about.
fn lens(steering: &mut Steering<'_>, loaded: &mut Loaded) -> Result<()> {
    let Some((_, start)) = loaded.last.filter(|(run, _)| *run == steering.run()) else {
        return Ok(());
    };
    let decoder = &mut loaded.model.decoder;
    let costs = match loaded.costs.take() {
        Some(costs) => costs,
        None => decoder.measure_costs(steering.settings().draft_vocab)?,
    };
    let end = loaded.session.tokens().len();
    let outcome = steering.lens(decoder, &mut loaded.session, start..end, &costs);
    loaded.costs = Some(costs);
    outcome
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}
