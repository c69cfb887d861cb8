//! The state of the screen: everything that drawing reads.

use super::action::{Action, Pane};
use super::config::{Config, Preset};
use super::control::Control;
use super::editor::Editor;
use super::keymap::{Context, KeyMap};
use super::look::Look;
use super::picker::Picker;
use super::regions::Regions;
use super::turn::{Mode, TokenRef, Turn};
use crate::engine::decode::Settings;
use crate::engine::loaded_model::{ModelInfo, ModelRequest};
use crate::engine::worker::{ConversationId, RunId};
use crate::transcript::Session;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The conversation on screen, as the engine names it.
pub const CONVERSATION: ConversationId = ConversationId(0);

/// Everything the screen shows and every decision is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub phase: Phase,
    pub model: Option<ModelInfo>,
    /// What was asked for, to load it again or to name it while it loads.
    pub request: ModelRequest,
    /// The model before the one that is being loaded, to go back to.
    pub(super) previous: Option<ModelRequest>,
    /// Models that the picker offers.
    pub models: Vec<ModelChoice>,
    pub settings: Settings,
    pub system: String,
    /// Controls that the user has set; a model's recommendations leave them alone.
    pub touched: BTreeSet<Control>,
    pub mode: Mode,
    pub turns: Vec<Turn>,
    /// What the last race of this model measured, if there was one.
    pub raced: Option<super::race::Raced>,
    pub prompt: Editor,
    /// Enter was pressed before the model was loaded: send when it is.
    pub queued: bool,
    pub focus: Pane,
    pub overlay: Option<Overlay>,
    pub controls: ControlsPanel,
    pub view: View,
    pub notice: Option<Notice>,
    pub config: Config,
    pub keys: KeyMap,
    pub look: Look,
    /// Time since the start, as the last tick told it.
    pub now: Duration,
    /// Of the frame on screen.
    pub regions: Regions,
    /// Slider under the mouse button.
    pub drag: Option<Control>,
    pub quit: bool,
    /// A session that is played in place of the chat.
    pub replay: Option<Box<super::Player>>,
    /// Ids of the sessions that were deleted, the last one last: what can be taken back.
    pub deleted: Vec<String>,
    /// Turns that were taken off the chat and can come back, until something is generated.
    pub withdrawn: Option<super::Withdrawn>,
    /// Number of the last question about sessions.
    pub(super) asked: u64,
    /// The last generation that the engine was told of and still remembers.
    pub(super) last_run: Option<RunId>,
    pub(super) next_run: u64,
    pub(super) next_turn: u64,
}

/// What the engine is doing. Events of another run than the phase's are dropped.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    Idle,
    Loading {
        stage: String,
        fraction: Option<f32>,
        /// The user has given it up; the engine has yet to say so.
        cancelling: bool,
    },
    Prefill {
        run: Run,
        done: usize,
        total: usize,
        cached: usize,
    },
    Generating {
        run: Run,
    },
    Paused {
        run: Run,
    },
    /// The model could not be loaded, or a run could not go on; the words say what to do.
    Failed {
        message: String,
        /// False when its thread has ended: nothing can be loaded any more.
        engine_lives: bool,
    },
}

/// A generation under way. Its turn is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub id: RunId,
    /// The user wants it to stop before its next phase.
    pub pausing: bool,
    /// Cancelled; the engine has yet to say so.
    pub cancelling: bool,
}

/// A model that can be chosen, as data from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChoice {
    /// What to load: a path or id; none for the bundled model.
    pub model: Option<String>,
    pub label: String,
    /// Size, place, or what is missing.
    pub note: String,
}

/// What lies over the screen and takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    Help {
        scroll: usize,
    },
    Picker(Picker),
    /// Words to read, from a slash command.
    Text {
        title: String,
        lines: Vec<String>,
        scroll: usize,
    },
    /// The system prompt under edit.
    System(Editor),
    WhatIf(super::WhatIf),
    Race(Box<super::Race>),
    /// The kept sessions.
    Sessions(Box<super::Browser>),
}

/// The controls panel.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlsPanel {
    pub focused: Control,
    /// A number being typed for the focused control.
    pub typing: Option<String>,
    /// Settings before each change, the newest last.
    pub(super) undo: Vec<Preset>,
}

/// How the transcript is looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// First wrapped line shown; none follows the end.
    pub top: Option<usize>,
    pub cursor: Option<TokenRef>,
    /// The next frame scrolls so that the cursor is in it.
    pub reveal: bool,
    pub show_rejected: bool,
    pub markdown: bool,
    /// First line shown of what is told of a token.
    pub details: usize,
}

/// A line that says what just happened, for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: String,
    pub wrong: bool,
    /// When it appeared.
    pub since: Duration,
}

/// How the app starts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub request: ModelRequest,
    pub models: Vec<ModelChoice>,
    pub settings: Settings,
    /// Controls that the command line set.
    pub touched: BTreeSet<Control>,
    pub system: String,
    pub mode: Mode,
    pub config: Config,
    pub look: Look,
    /// Text for the prompt to begin with.
    pub prompt: String,
    /// A session to go on with. What the command line sets goes before its settings.
    pub session: Option<Arc<Session>>,
}

impl State {
    /// The state before the model is loaded. Fails on a key binding that cannot be read.
    pub fn new(options: Options) -> Result<Self, String> {
        let config = options.config;
        let look = Look {
            theme: config.theme,
            ascii: options.look.ascii || config.ascii,
            ..options.look
        };
        let view = View {
            show_rejected: config.show_rejected,
            ..View::default()
        };
        let mut prompt = Editor::default();
        prompt.set(options.prompt);
        let mut state = Self {
            phase: Phase::opening(),
            model: None,
            request: options.request,
            previous: None,
            models: options.models,
            settings: options.settings,
            system: options.system,
            touched: options.touched,
            mode: options.mode,
            turns: Vec::new(),
            raced: None,
            prompt,
            queued: false,
            focus: Pane::Prompt,
            overlay: None,
            controls: ControlsPanel::default(),
            view,
            notice: None,
            keys: KeyMap::with(&config.keys)?,
            config,
            look,
            now: Duration::ZERO,
            regions: Regions::default(),
            drag: None,
            quit: false,
            replay: None,
            deleted: Vec::new(),
            withdrawn: None,
            asked: 0,
            last_run: None,
            next_run: 0,
            next_turn: 0,
        };
        if let Some(session) = options.session {
            super::recall::resume(&mut state, &session);
        }
        Ok(state)
    }

    /// Whether something on screen changes with time alone.
    pub fn animated(&self) -> bool {
        let busy = !matches!(
            self.phase,
            Phase::Idle | Phase::Failed { .. } | Phase::Paused { .. }
        );
        let over = self.overlay.is_some()
            && (self.lens_pending() || super::race::under_way(self).is_some());
        busy || over || self.notice.is_some()
    }

    /// Which keys count now.
    pub fn context(&self) -> Context {
        match (&self.overlay, &self.replay) {
            (Some(Overlay::Sessions(_)), _) => Context::Sessions,
            (Some(_), _) => Context::Global,
            (None, Some(_)) if self.focus == Pane::Prompt => Context::Replay,
            (None, _) => self.focus.into(),
        }
    }

    /// The key of an action as words name it; where no key reaches it, what the action is called.
    pub fn key_name(&self, context: impl Into<Context>, action: &Action) -> String {
        self.keys
            .key_of(context, action)
            .map_or_else(|| action.label(), |key| key.to_string())
    }

    /// How long after the last tick something happens by itself: the replay's next event.
    pub fn due_in(&self) -> Option<Duration> {
        self.replay.as_ref()?.due_in()
    }

    /// The run under way.
    pub fn run(&self) -> Option<Run> {
        match self.phase {
            Phase::Prefill { run, .. } | Phase::Generating { run } | Phase::Paused { run } => {
                Some(run)
            }
            _ => None,
        }
    }

    /// Whether a turn is shown as Markdown rather than token by token.
    pub fn shows_markdown(&self, turn: &Turn) -> bool {
        self.view.markdown && turn.mode == Mode::Chat && turn.outcome.is_some()
    }

    /// Whether the token under the cursor is what the user looks at.
    pub fn inspecting(&self) -> bool {
        self.view.cursor.is_some() && matches!(self.focus, Pane::Chat | Pane::Rounds)
    }

    /// The token that the inspector shows: the one under the cursor, or while layers are recorded the newest.
    pub fn inspected(&self) -> Option<TokenRef> {
        self.view
            .cursor
            .or_else(|| self.newest().filter(|_| self.settings.detail))
    }

    /// Whether the inspector follows what is being written, and the user looks there.
    pub fn watching(&self) -> bool {
        self.inspected().is_some() && matches!(self.focus, Pane::Chat | Pane::Rounds)
    }

    /// The last token of the last answer.
    fn newest(&self) -> Option<TokenRef> {
        let (turn, last) = self.turns.iter().enumerate().next_back()?;
        let (round, rounds) = (last.rounds.len().checked_sub(1)?, &last.rounds);
        Some(TokenRef {
            turn,
            round,
            slot: rounds[round].slots().checked_sub(1)?,
        })
    }

    /// Layer count L, where a model is loaded.
    pub fn layers(&self) -> Option<usize> {
        self.model.as_ref().map(|model| model.config.num_layers)
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            wrong: false,
            since: self.now,
        });
    }

    pub(super) fn say_wrong(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            wrong: true,
            since: self.now,
        });
    }
}

impl ControlsPanel {
    /// Whether there is a change to take back.
    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }
}

impl Default for ControlsPanel {
    fn default() -> Self {
        Self {
            focused: Control::ExitLayer,
            typing: None,
            undo: Vec::new(),
        }
    }
}
