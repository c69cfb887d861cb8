//! The worker thread: takes commands one by one, and survives panics in them.

use super::control::RunControl;
use super::fit;
use super::inbox::{CommandSender, Envelope, Inbox};
use super::loading::{self, Loader, Outcome};
use super::{Command, ConversationId, Event, Failure, ModelEvent, RunEvent, RunId, Task, tasks};
use crate::engine::decode::{CostModel, Finished, Session, Settings};
use crate::engine::loaded_model::{LoadedModel, ModelRequest};
use crate::engine::prompt::{Message, Prompt};
use crate::engine::weights::fingerprint;
use crate::engine::{Error, Result};
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Handles to the worker.
pub struct Worker {
    /// Sends commands.
    pub commands: CommandSender,
    /// Receives events of the model, and of runs without a separate receiver.
    pub events: UnboundedReceiver<Event>,
    /// The thread.
    pub thread: JoinHandle<()>,
}

/// Starts the worker, which has no model until [`Command::Load`].
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn() -> std::io::Result<Worker> {
    spawn_with(LoadedModel::load)
}

/// Starts a worker with another loader.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn_with(loader: impl Loader) -> std::io::Result<Worker> {
    start_thread(loader, None)
}

/// As [`spawn_with`], for an owner that passes events on slowly. A lens reports many parts in a short time; each takes a
/// permit of `lens_parts`, which the owner adds again when it has passed the part on.
///
/// # Errors
/// If the thread cannot be started.
pub fn spawn_paced(loader: impl Loader, lens_parts: Arc<Semaphore>) -> std::io::Result<Worker> {
    start_thread(loader, Some(lens_parts))
}

fn start_thread(
    loader: impl Loader,
    lens_parts: Option<Arc<Semaphore>>,
) -> std::io::Result<Worker> {
    let (commands, inbox) = CommandSender::channel();
    let (sender, events) = unbounded_channel();
    let body = move || {
        Thread {
            inbox,
            events: sender,
            loader: Arc::new(loader),
            lens_parts,
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

struct Loaded {
    model: LoadedModel,
    conversations: HashMap<ConversationId, Conversation>,
    /// Measured when first needed, for drafts of that vocabulary size.
    costs: Option<(usize, CostModel)>,
}

struct Conversation {
    session: Session,
    /// The last generation and the position where its text starts.
    last: Option<(RunId, usize)>,
}

struct Thread {
    inbox: Inbox,
    events: UnboundedSender<Event>,
    loader: Arc<dyn Loader>,
    /// As [`spawn_paced`] takes them.
    lens_parts: Option<Arc<Semaphore>>,
    loaded: Option<Loaded>,
}

impl Thread {
    fn run(mut self) {
        while let Some(Envelope {
            command,
            events,
            held: _held,
        }) = self.inbox.next()
        {
            match command {
                Command::Shutdown => return,
                Command::Load(request) => self.load(&request),
                Command::Start {
                    run,
                    conversation,
                    task,
                    settings,
                } => {
                    let events = events.unwrap_or_else(|| self.events.clone());
                    self.start(run, conversation, task, settings, events);
                }
                Command::Forget { conversation } => {
                    if let Some(loaded) = &mut self.loaded {
                        loaded.conversations.remove(&conversation);
                    }
                }
                // These have no effect without a load or a run.
                Command::CancelLoad
                | Command::Settings { .. }
                | Command::Cancel { .. }
                | Command::Pause { .. }
                | Command::Step { .. }
                | Command::Resume { .. } => {}
            }
        }
    }

    /// Reports to the owner. A closed receiver means that the program is ending.
    fn report(&self, event: ModelEvent) {
        let _ = self.events.send(Event::Model(event));
    }

    fn load(&mut self, request: &ModelRequest) {
        self.loaded = None;
        match loading::load(&self.loader, request, &mut self.inbox, &self.events) {
            Outcome::Loaded(model) => {
                self.report(ModelEvent::Loaded {
                    fingerprint: fingerprint(&model.info.path).ok(),
                    info: Box::new(model.info.clone()),
                });
                self.loaded = Some(Loaded {
                    model: *model,
                    conversations: HashMap::new(),
                    costs: None,
                });
            }
            Outcome::Failed(failure) => {
                tracing::error!(failure.message, "load failed");
                self.report(ModelEvent::Failed(failure));
            }
            Outcome::Cancelled => self.report(ModelEvent::Cancelled),
            Outcome::Superseded => {}
        }
    }

    /// Runs a task, controlled by commands that arrive while it runs, and reports how it ended.
    fn start(
        &mut self,
        run: RunId,
        conversation: ConversationId,
        task: Task,
        settings: Arc<Settings>,
        events: UnboundedSender<Event>,
    ) {
        let report = |event| drop(events.send(Event::Run(run, event)));
        let Some(loaded) = &mut self.loaded else {
            let none = Error::Setting("no model is loaded".into());
            return report(RunEvent::Failed(none.into()));
        };
        let mut control = RunControl::new(
            run,
            conversation,
            settings,
            &mut self.inbox,
            events.clone(),
            self.lens_parts.clone(),
            loaded.model.turns().turn(),
        );
        control.enter();
        let work = || loaded.work(&mut control, run, conversation, task);
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(Some(Finished { stop, stats }))) => report(RunEvent::Finished {
                reason: stop,
                stats,
            }),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::error!(run = run.0, kind = ?error.kind(), "run failed");
                report(RunEvent::Failed(error.into()));
            }
            Err(panic) => {
                // The panic may have left the conversation inconsistent.
                loaded.conversations.remove(&conversation);
                let message = format!("internal error: {}", panic_message(&*panic));
                report(RunEvent::Failed(Failure::internal(message)));
            }
        }
    }
}

impl Loaded {
    /// Runs a task. Returns how a generation or a race ended; other tasks report their results themselves.
    fn work(
        &mut self,
        control: &mut RunControl<'_>,
        run: RunId,
        conversation: ConversationId,
        task: Task,
    ) -> Result<Option<Finished>> {
        if !self.conversations.contains_key(&conversation) {
            let session = self.model.decoder.session()?;
            let fresh = Conversation {
                session,
                last: None,
            };
            self.conversations.insert(conversation, fresh);
        }
        let Some(Conversation { session, last }) = self.conversations.get_mut(&conversation) else {
            return Ok(None);
        };
        let whole = matches!(task, Task::GenerateWhole(_));
        match task {
            Task::Generate(prompt) | Task::GenerateWhole(prompt) => {
                let ids = match &prompt {
                    Prompt::Chat(messages) if !whole => fitted(&self.model, control, messages)?,
                    prompt => encode(&self.model, prompt)?,
                };
                *last = Some((run, ids.len()));
                let settings = control.newest();
                let decoder = &mut self.model.decoder;
                let finished = decoder.run_to_end(session, &ids, settings, control)?;
                self.model.keep_estimates();
                Ok(Some(finished))
            }
            Task::Race { prompt, against } => {
                let ids = encode(&self.model, &prompt)?;
                tasks::race(control, &mut self.model.decoder, &ids, against).map(Some)
            }
            Task::Sweep { prompt, pairs } => {
                let ids = encode(&self.model, &prompt)?;
                tasks::sweep(control, &mut self.model.decoder, &ids, &pairs).map(Some)
            }
            Task::Lens | Task::LensOf { .. } => {
                if let Task::LensOf { prompt, answer } = task {
                    let mut ids = encode(&self.model, &prompt)?;
                    let start = ids.len();
                    ids.extend(answer);
                    self.model.decoder.resume(session, &ids)?;
                    *last = Some((run, start));
                }
                let decoder = &mut self.model.decoder;
                // Another text has replaced the requested one.
                let Some((_, start)) = last.filter(|(last, _)| *last == run) else {
                    return Ok(None);
                };
                let draft_vocab = control.newest().draft_vocab;
                let known = self.costs.take().filter(|(width, _)| *width == draft_vocab);
                let measured = match known {
                    Some((_, costs)) => costs,
                    None => decoder.measure_costs(draft_vocab)?,
                };
                let costs = decoder.costs_in(session, &measured, draft_vocab);
                self.costs = Some((draft_vocab, measured));
                let costs = costs?;
                let end = session.tokens().len();
                tasks::lens(control, decoder, session, start..end, &costs)?;
                Ok(None)
            }
            Task::Score {
                prompt,
                from,
                exit_layer,
                top,
            } => {
                let ids = self.model.encode(&prompt)?;
                *last = None;
                let decoder = &mut self.model.decoder;
                tasks::score(control, decoder, session, &ids, from, exit_layer, top)?;
                Ok(None)
            }
        }
    }
}

/// The token ids of a conversation, without turns that do not fit. Reports how many were dropped.
fn fitted(
    model: &LoadedModel,
    control: &mut RunControl<'_>,
    messages: &[Message],
) -> Result<Vec<u32>> {
    let context = model.info.config.context_length;
    let max_steps = control.newest().max_steps;
    let fitted = fit::fit(messages, context, max_steps, |prompt| model.encode(prompt))?;
    if fitted.dropped > 0 {
        let messages = fitted.dropped;
        control.report(RunEvent::Dropped { messages });
    }
    Ok(fitted.ids)
}

/// The token ids of a prompt.
fn encode(model: &LoadedModel, prompt: &Prompt) -> Result<Vec<u32>> {
    let context = model.info.config.context_length;
    let ids = model.encode(prompt);
    let checked = ids.and_then(|ids| match ids.len() {
        tokens if tokens >= context => Err(Error::PromptTooLong { tokens, context }),
        _ => Ok(ids),
    });
    checked.map_err(|error| fit::explain(prompt, error))
}

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a message")
}
