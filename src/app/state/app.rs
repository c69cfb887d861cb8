//! The whole program: the chat, a replay in its place, and what both share.

use super::{ModelChoice, Player, Regions, Remote, ReplayScreen, State, Turn};
use crate::app::appearance::Appearance;
use crate::app::config::Config;
use crate::app::controls::Control;
use crate::app::input::{Action, Context, KeyMap};
use crate::engine::decode::Settings;
use crate::engine::loaded_model::ModelRequest;
use crate::engine::worker::RunId;
use crate::transcript::{Mode, Session};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The whole state: the screen and all decisions derive from it.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// The conversation with the engine.
    pub chat: State,
    /// A replay on screen in place of the chat.
    pub replay: Option<Box<ReplayScreen>>,
    pub shared: Shared,
}

/// State shared by chat and replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    pub config: Config,
    pub keys: KeyMap,
    pub appearance: Appearance,
    pub display: Display,
    /// Models that the picker offers.
    pub models: Vec<ModelChoice>,
    /// Time since the start, as of the last tick.
    pub now: Duration,
    /// The regions of the frame on screen.
    pub regions: Regions,
    pub quit: bool,
    /// Ids of deleted sessions, the newest last, for restoring.
    pub deleted: Vec<String>,
    /// Id of the last search of the sessions.
    pub(in crate::app) search_id: u64,
    pub(in crate::app) next_run: u64,
    pub(in crate::app) next_turn: u64,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Display {
    pub show_rejected: bool,
    pub markdown: bool,
}

/// How the app starts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub request: ModelRequest,
    /// The remote server; `None` for the local engine.
    pub remote: Option<Remote>,
    pub models: Vec<ModelChoice>,
    pub settings: Settings,
    /// Controls that the command line set.
    pub user_set: BTreeSet<Control>,
    pub system: String,
    pub mode: Mode,
    pub config: Config,
    pub appearance: Appearance,
    /// Initial text of the prompt.
    pub prompt: String,
    /// A session to resume. The command line takes precedence over its settings.
    pub session: Option<Arc<Session>>,
}

impl App {
    /// The state on screen: the replay, if there is one, else the chat.
    pub fn state(&self) -> &State {
        self.replay
            .as_ref()
            .map_or(&self.chat, |replay| &replay.state)
    }

    /// Mutable version of [`Self::state`].
    pub fn state_mut(&mut self) -> &mut State {
        self.parts().0
    }

    /// The state on screen, and the shared state.
    pub(in crate::app) fn parts(&mut self) -> (&mut State, &mut Shared) {
        let state = match &mut self.replay {
            Some(replay) => &mut replay.state,
            None => &mut self.chat,
        };
        (state, &mut self.shared)
    }

    /// The session that is replayed.
    pub fn player(&self) -> Option<&Player> {
        self.replay.as_ref().map(|replay| &replay.player)
    }

    /// The context of the key map now.
    pub fn context(&self) -> Context {
        self.state().context()
    }

    /// The key of an action as text names it; where no key reaches it, what the action is called.
    pub fn key_name(&self, context: impl Into<Context>, action: impl Into<Action>) -> String {
        self.shared.key_name(context, action)
    }

    /// The key of an action, if it is available now.
    pub fn key_now(&self, action: impl Into<Action>) -> Option<String> {
        let key = self.shared.keys.key_of(self.context(), &action.into())?;
        Some(key.to_string())
    }

    /// Time from the last tick to the next event of a replay, if any.
    pub fn due_in(&self) -> Option<Duration> {
        self.player()?.due_in()
    }

    /// Whether anything on screen changes with time alone.
    pub fn animated(&self) -> bool {
        self.state().animated()
    }

    /// Whether a turn is shown as Markdown rather than token by token.
    pub fn shows_markdown(&self, turn: &Turn) -> bool {
        self.shared.display.shows_markdown(turn)
    }
}

impl Shared {
    /// The key of an action as text names it; where no key reaches it, what the action is called.
    pub fn key_name(&self, context: impl Into<Context>, action: impl Into<Action>) -> String {
        let action = action.into();
        self.keys
            .key_of(context, &action)
            .map_or_else(|| action.label(), |key| key.to_string())
    }

    pub(in crate::app) fn new_run(&mut self) -> RunId {
        let run = RunId(self.next_run);
        self.next_run += 1;
        run
    }

    pub(in crate::app) fn new_turn(&mut self) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        turn
    }
}

impl Display {
    /// Whether a turn is shown as Markdown rather than token by token.
    pub fn shows_markdown(self, turn: &Turn) -> bool {
        self.markdown && turn.mode == Mode::Chat && turn.outcome.is_some()
    }
}
