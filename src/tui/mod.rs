//! The driver of the playground: feeds keys, engine events and time to the app, carries out effects, and draws.

mod editor;
mod effects;
mod engine;
mod listing;
mod session_search;
mod signals;
mod start;
mod terminal;

use crate::app::{App, Msg, Options, update};
use crate::engine::loaded_model::ModelRequest;
use crate::engine::weights::remember;
use crate::engine::worker::{Command, Event, ModelEvent};
use crate::folders::expand_home;
use crate::transcript::{Recorder, Session};
use crate::ui::Renderer;
use color_eyre::Result;
use color_eyre::eyre::eyre;
use crossterm::event::{Event as Input, EventStream};
use engine::Engine;
use futures::StreamExt;
use session_search::SessionSearch;
use signals::Signals;
use std::time::{Duration, Instant};
use terminal::Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

pub use start::{replay, start};
pub use terminal::Terminal;

/// Min time between frames: 60 per second.
const FRAME: Duration = Duration::from_micros(16_667);
/// Min time between frames while the engine needs the cores: 30 per second. Keys are still handled immediately.
const BUSY_FRAME: Duration = Duration::from_micros(33_333);
/// Max messages of the engine between two frames.
const MAX_MESSAGES: usize = 10_000;
/// Interval of animations.
const TICK: Duration = Duration::from_millis(100);

/// Why the screen ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The user quit.
    Quit,
    /// A signal requested it.
    Signal(i32),
}

/// Runs the playground until the user quits. Loading of the model starts after the first frame. Watching records
/// nothing. Returns how it ended, and whether the session has a file.
///
/// # Errors
/// If the terminal cannot be used, or the settings file names an unknown key. The terminal is always restored, even after
/// a panic.
pub async fn run(
    engine: Engine,
    mut options: Options,
    resume: Option<String>,
) -> Result<(End, bool)> {
    let watches = options.remote.as_ref().is_some_and(|remote| remote.watches);
    let mut recorder = Recorder::new(options.config.journal_detail);
    if let (Some(name), Ok(recorder)) = (&resume, &mut recorder) {
        options.session = Some(recorder.resume(name)?.into());
    }
    let app = App::new(options).map_err(|fault| eyre!("settings file: {fault}"))?;
    let mut driver = Driver::new(app, Some(engine))?;
    match recorder {
        Ok(_) if watches => {}
        Ok(recorder) => {
            session_search::empty_old_trash(recorder.store().clone());
            driver.recorder = Some(recorder);
        }
        Err(fault) => driver.take(Msg::EffectFailed(format!(
            "this session is not saved: {fault}"
        )))?,
    }
    if !watches {
        driver.find_models(0);
    }
    driver.draw()?;
    if !watches {
        let request = driver.app.chat.request.clone();
        driver.send(Command::Load(request));
    }
    let result = driver.serve().await;
    driver.send(Command::Shutdown);
    let mut saved = false;
    if let Some(recorder) = driver.recorder.take() {
        let path = recorder.path().to_owned();
        recorder.close()?;
        saved = path.exists();
    }
    Ok((result?, saved))
}

/// Replays a session until the user quits. Needs no model and writes nothing.
///
/// # Errors
/// As [`run`].
pub async fn play(options: Options, session: Session, speed: f64, from: usize) -> Result<End> {
    let mut app = App::new(options).map_err(|fault| eyre!("settings file: {fault}"))?;
    app.replay_alone(session.into(), speed, from);
    let mut driver = Driver::new(app, None)?;
    driver.draw()?;
    driver.serve().await
}

/// The event loop: owns the terminal, the engine's channels and the recorder.
struct Driver {
    app: App,
    renderer: Renderer,
    terminal: Terminal,
    /// `None` while the terminal is lent to another program.
    input: Option<EventStream>,
    /// `None` in a replay, and once the engine's thread has ended.
    engine: Option<Engine>,
    /// `None` if sessions cannot be saved.
    recorder: Option<Recorder>,
    session_search: SessionSearch,
    /// For results of work on other threads.
    answers: UnboundedSender<Msg>,
    /// Results of searches on other threads.
    found: UnboundedReceiver<Msg>,
    start: Instant,
    last_frame: Instant,
    /// Earliest time of the next frame.
    next_frame: Instant,
    /// Whether anything needs to be drawn.
    changed: bool,
}

impl Driver {
    /// Takes over the terminal.
    fn new(app: App, engine: Option<Engine>) -> Result<Self> {
        let terminal = Terminal::enter(app.shared.config.mouse)?;
        let (answers, found) = unbounded_channel();
        Ok(Self {
            app,
            renderer: Renderer::default(),
            terminal,
            input: Some(EventStream::new()),
            engine,
            recorder: None,
            session_search: SessionSearch::new(answers.clone()),
            answers,
            found,
            start: Instant::now(),
            last_frame: Instant::now(),
            next_frame: Instant::now(),
            changed: true,
        })
    }

    /// Runs until the user quits. While the engine works, its events are polled once per frame: waking up for each would
    /// take CPU time from it.
    async fn serve(&mut self) -> Result<End> {
        let mut signals = Signals::new()?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.app.shared.quit {
            let (animated, changed, due) = (self.app.animated(), self.changed, self.due());
            let msg = tokio::select! {
                biased;
                request = signals.next() => match request {
                    Request::End(signal) => return Ok(End::Signal(signal)),
                    Request::Stop => {
                        self.suspend()?;
                        None
                    }
                    Request::Continue => {
                        self.retake()?;
                        None
                    }
                },
                input = next_input(&mut self.input) => match input {
                    Some(input) => {
                        self.next_frame = self.next_frame.min(self.last_frame + FRAME);
                        let input = input?;
                        if matches!(input, Input::Resize(..)) {
                            terminal::announce_input();
                        }
                        message(input)
                    }
                    None => return Ok(End::Quit),
                },
                () = sleep_until(self.next_frame.into()), if changed || animated => None,
                event = next(&mut self.engine), if !animated => Some(event),
                Some(found) = self.found.recv() => Some(found),
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                    Some(Msg::Tick(self.start.elapsed()))
                }
                _ = ticks.tick(), if animated => Some(Msg::Tick(self.start.elapsed())),
            };
            if let Some(msg) = msg {
                // Update the clock first, since the last event may be long ago.
                update(&mut self.app, Msg::Tick(self.start.elapsed()));
                self.take(msg)?;
            }
            self.drain()?;
            if Instant::now() >= self.next_frame {
                self.frame()?;
            }
        }
        Ok(End::Quit)
    }

    /// Takes over the terminal again after the shell used it.
    fn retake(&mut self) -> Result<()> {
        self.terminal.retake()?;
        self.changed = true;
        Ok(())
    }

    /// The time of the next timed event, at most one per frame.
    fn due(&self) -> Option<Instant> {
        let due = self.start + self.app.shared.now + self.app.due_in()?;
        Some(due.max(self.last_frame + FRAME))
    }

    /// Processes pending messages of the engine, so that a frame shows the latest. A server that floods us does not keep
    /// keys from being read.
    fn drain(&mut self) -> Result<()> {
        for _ in 0..MAX_MESSAGES {
            let Some(msg) = self.engine.as_mut().and_then(Engine::try_next) else {
                break;
            };
            self.take(msg)?;
        }
        Ok(())
    }

    /// Draws a frame if anything changed, and schedules the next.
    fn frame(&mut self) -> Result<()> {
        if self.changed {
            self.draw()?;
        }
        self.next_frame = Instant::now()
            + if self.app.animated() {
                BUSY_FRAME
            } else {
                FRAME
            };
        Ok(())
    }

    /// Updates the app and carries out its effects.
    fn take(&mut self, msg: Msg) -> Result<()> {
        if msg == Msg::EngineGone {
            self.engine = None;
        }
        self.changed = true;
        if let (Msg::Engine(Event::Model(ModelEvent::Loaded { .. })), Some(name)) =
            (&msg, &self.app.chat.request.model)
            && self.app.chat.remote.is_none()
        {
            remember(name);
        }
        if let Msg::Engine(event) = &msg {
            let noted = self
                .recorder
                .as_mut()
                .map_or(Ok(()), |recorder| recorder.event(event));
            self.warn_of_journal(noted);
        }
        for effect in update(&mut self.app, msg) {
            self.carry_out(effect)?;
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<()> {
        let regions = self
            .terminal
            .draw(|frame| self.renderer.draw(&self.app, frame))?;
        let viewports = |app: &App| (app.shared.regions.text, app.shared.regions.details);
        let before = viewports(&self.app);
        update(&mut self.app, Msg::Drawn(regions));
        self.last_frame = Instant::now();
        // The hints for scroll keys depend on the space that the frame had.
        self.changed = viewports(&self.app) != before;
        Ok(())
    }

    /// Notifies the user of a failed write. The journal keeps unwritten lines in memory and retries; the chat continues.
    fn warn_of_journal(&mut self, noted: crate::transcript::Result<()>) {
        if let Err(fault) = noted {
            update(
                &mut self.app,
                Msg::EffectFailed(format!(
                    "the session could not be written: {}",
                    fault.reason()
                )),
            );
        }
    }

    /// Sends a command. A closed channel is noticed on the event channel, as [`Msg::EngineGone`].
    fn send(&mut self, mut command: Command) {
        if let Command::Load(ModelRequest {
            model: Some(model), ..
        }) = &mut command
            && self.app.chat.remote.is_none()
        {
            *model = expand_home(model).to_string_lossy().into_owned();
        }
        let noted = self
            .recorder
            .as_mut()
            .map_or(Ok(()), |recorder| recorder.command(&command));
        self.warn_of_journal(noted);
        if let Some(engine) = &self.engine {
            engine.send(command);
        }
    }
}

/// The next terminal event; `None` at the end of input.
async fn next_input(input: &mut Option<EventStream>) -> Option<std::io::Result<Input>> {
    match input {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

/// The engine's next message. Never resolves once the engine is gone.
async fn next(engine: &mut Option<Engine>) -> Msg {
    match engine {
        Some(engine) => engine.next().await,
        None => std::future::pending().await,
    }
}

/// The message for a terminal event; `None` if it is ignored.
fn message(input: Input) -> Option<Msg> {
    match input {
        Input::Key(key) => Some(Msg::Key(key)),
        Input::Mouse(mouse) if mouse.kind != crossterm::event::MouseEventKind::Moved => {
            Some(Msg::Mouse(mouse))
        }
        Input::Paste(text) => Some(Msg::Paste(text)),
        Input::Resize(..) => Some(Msg::Resize),
        _ => None,
    }
}
