//! The state of the screen: everything that drawing reads.

mod app;
mod baselines;
mod editor;
pub mod find;
pub mod lens_view;
pub mod menu;
mod phase;
pub mod picker;
pub mod player;
pub mod race;
mod regions;
mod remote;
mod retracted;
mod session_list;
pub mod sweep;
pub mod turn;
pub mod what_if;
pub mod worst;

pub use app::{App, Display, Options, Shared};
pub use baselines::{Baselines, Shapes};
pub use editor::Editor;
pub use find::Find;
pub use menu::{Folder, FolderEntry, Menu};
pub use phase::{Offer, Phase, Run};
pub use picker::Picker;
pub use player::{Player, ReplayScreen};
pub use race::Race;
pub use regions::{Regions, Target, Viewport};
pub use remote::Remote;
pub(super) use remote::Request;
pub use retracted::Retracted;
pub use session_list::{Listed, SessionList};
pub use sweep::Sweep;
pub use turn::{Mode, TokenRef, Turn};
pub use what_if::{Lens, WhatIf};

pub use crate::engine::weights::ModelChoice;

use super::config::Preset;
use super::controls::Control;
use super::input::Context;
use super::input::action::Pane;
use crate::engine::decode::Settings;
use crate::engine::loaded_model::{ModelInfo, ModelRequest};
use crate::engine::weights::PUBLISHED_MODEL;
use crate::engine::worker::{ConversationId, RunId};
use crate::transcript::{self, ModelRecord};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The engine's id of the chat.
pub const CONVERSATION: ConversationId = ConversationId(0);

/// One conversation and its view: the chat, or a replayed session.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Whether the engine writes the answers; a replay's come from a journal.
    pub live: bool,
    /// The remote server; `None` for the local engine.
    pub remote: Option<Remote>,
    pub phase: Phase,
    pub model: Option<ModelInfo>,
    /// Fingerprint of the file of the model, if it is known.
    pub(super) fingerprint: Option<String>,
    /// The requested model, to reload it or to name it while it loads.
    pub request: ModelRequest,
    /// The model before the one being loaded, to return to.
    pub(super) previous: Option<ModelRequest>,
    pub settings: Settings,
    pub system: String,
    /// Controls that the user has set. A model's recommendations do not override them.
    pub user_set: BTreeSet<Control>,
    pub mode: Mode,
    pub turns: Vec<Turn>,
    /// The last race of this chat against plain decoding.
    pub raced: Option<transcript::Race>,
    /// The shapes of the models so far.
    pub(super) shapes: Shapes,
    pub prompt: Editor,
    /// The search in the conversation. While it is open, keys go to its field.
    pub find: Option<Find>,
    /// Suggestions for the command in the prompt; see [`State::menu`].
    pub(in crate::app) menu: Option<Menu>,
    /// The files of the folder that the command names.
    pub(in crate::app) folder: Option<Folder>,
    /// The saved sessions, once the menu has asked for them.
    pub(in crate::app) menu_sessions: Option<Vec<Listed>>,
    /// The last command, until it is known whether it was refused.
    pub(super) command: Option<Command>,
    /// Questions that wait for the running answer, in order.
    pub queued: Vec<String>,
    /// Enter was pressed before the model was loaded: send once it is.
    pub send_when_loaded: bool,
    pub focus: Pane,
    pub overlay: Option<Overlay>,
    pub controls: ControlsPanel,
    pub view: View,
    pub notice: Option<Notice>,
    /// Slider held by the mouse.
    pub drag: Option<Control>,
    /// The user has agreed to drop the oldest turns of this chat from the context.
    pub(in crate::app) drop_oldest: bool,
    /// Retracted turns, which can be restored until something is generated.
    pub retracted: Option<Retracted>,
    /// The last generation whose sequence the engine still has.
    pub(super) last_run: Option<RunId>,
}

/// An overlay over the screen, which takes all keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Overlay {
    Help {
        topic: Topic,
        scroll: usize,
    },
    Picker(Picker),
    /// Text to read.
    Text {
        title: String,
        lines: Vec<String>,
        scroll: usize,
        /// Whether it opened by itself, perhaps while the user types: what is typed is for the prompt then.
        by_itself: bool,
    },
    /// The system prompt under edit.
    System(Editor),
    WhatIf(WhatIf),
    Lens(lens_view::LensView),
    Race(Box<Race>),
    Sweep(Box<Sweep>),
    /// The saved sessions.
    Sessions(Box<SessionList>),
}

/// What the help is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    Everything,
    /// All sections, scrolled to the commands.
    Commands,
    /// Only entries that mention a word.
    Word(String),
}

/// A command that was given in the prompt and may still be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub text: String,
    /// Its effects were carried out, and their outcome is not known yet.
    pub is_pending: bool,
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

/// The view of the transcript.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// First wrapped line shown; `None` follows the end.
    pub top: Option<usize>,
    pub cursor: Option<TokenRef>,
    /// The next frame scrolls to the cursor.
    pub reveal: bool,
    /// First line shown of the token's details.
    pub details: usize,
}

/// A message that is shown for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: String,
    pub is_error: bool,
    /// When it appeared; `None` before the first tick.
    pub since: Option<Duration>,
    /// What it speaks of. It goes when that has gone.
    pub(super) about: Option<Subject>,
}

/// What a notice speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// The last of this many queued questions.
    Queued(usize),
    /// The running answer.
    Answer,
    /// The model being loaded, or the connection being made.
    Loading,
    /// The prompt that is sent once the model is loaded.
    WaitingPrompt,
    /// Turns that can be restored.
    Retracted,
}

impl State {
    /// An empty conversation; its model is still loading.
    pub(super) fn new(request: ModelRequest, settings: Settings) -> Self {
        Self {
            live: true,
            remote: None,
            phase: Phase::opening(),
            model: None,
            fingerprint: None,
            request,
            previous: None,
            settings,
            system: String::new(),
            user_set: BTreeSet::new(),
            mode: Mode::default(),
            turns: Vec::new(),
            raced: None,
            shapes: Shapes::default(),
            prompt: Editor::default(),
            find: None,
            queued: Vec::new(),
            command: None,
            menu: None,
            folder: None,
            menu_sessions: None,
            send_when_loaded: false,
            focus: Pane::Prompt,
            overlay: None,
            controls: ControlsPanel::default(),
            view: View::default(),
            notice: None,
            drag: None,
            drop_oldest: false,
            retracted: None,
            last_run: None,
        }
    }

    /// Whether anything on screen changes with time alone.
    pub fn animated(&self) -> bool {
        let busy = !matches!(
            self.phase,
            Phase::Idle | Phase::Failed { .. } | Phase::Paused { .. }
        );
        let over = self.overlay.is_some() && (self.lens_pending() || self.side_run().is_some());
        busy || over || self.notice.is_some()
    }

    /// The context of the key map now.
    pub fn context(&self) -> Context {
        match &self.overlay {
            Some(Overlay::Help { .. } | Overlay::Text { .. }) => Context::Pager,
            Some(Overlay::Picker(_)) => Context::Picker,
            Some(Overlay::System(_)) => Context::System,
            Some(Overlay::WhatIf(_) | Overlay::Sweep(_)) => Context::WhatIf,
            Some(Overlay::Lens(_)) => Context::Lens,
            Some(Overlay::Race(_)) => Context::Race,
            Some(Overlay::Sessions(list)) if list.title.is_some() => Context::Title,
            Some(Overlay::Sessions(_)) => Context::Sessions,
            None if self.find.is_some() => Context::Find,
            None if !self.live && self.focus == Pane::Prompt => Context::Replay,
            None if self.menu().is_some_and(|menu| !menu.entries.is_empty()) => Context::Menu,
            None => self.focus.into(),
        }
    }

    /// The running generation.
    pub fn run(&self) -> Option<Run> {
        match self.phase {
            Phase::Prefill { run, .. } | Phase::Generating { run } | Phase::Paused { run } => {
                Some(run)
            }
            _ => None,
        }
    }

    /// Whether Ctrl-C clears the prompt instead of quitting.
    pub(super) fn can_clear_prompt(&self) -> bool {
        self.overlay.is_none() && self.focus == Pane::Prompt && !self.prompt.is_empty()
    }

    /// The running race or sweep.
    pub(super) fn side_run(&self) -> Option<RunId> {
        match &self.overlay {
            Some(Overlay::Race(race)) if race.outcome.is_none() => Some(race.run),
            Some(Overlay::Sweep(sweep)) if sweep.outcome.is_none() => sweep.run,
            _ => None,
        }
    }

    /// Whether a run is that of the race or sweep on screen, running or not.
    pub(super) fn is_side_run(&self, id: RunId) -> bool {
        match &self.overlay {
            Some(Overlay::Race(race)) => race.run == id,
            Some(Overlay::Sweep(sweep)) => sweep.run == Some(id),
            _ => false,
        }
    }

    /// Whether the user is inspecting the token under the cursor.
    pub fn inspecting(&self) -> bool {
        self.view.cursor.is_some() && matches!(self.focus, Pane::Chat | Pane::Rounds)
    }

    /// The token that the inspector shows: the one under the cursor or, while layers are recorded, the newest.
    pub fn inspected(&self) -> Option<TokenRef> {
        self.view
            .cursor
            .or_else(|| self.newest().filter(|_| self.settings.detail))
    }

    /// Whether the requests of a server's other clients are watched, and nothing can be asked.
    pub fn is_read_only(&self) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.watches)
    }

    /// The pane that Esc returns to: the prompt, or the chat where no prompt is taken.
    pub fn home(&self) -> Pane {
        match self.is_read_only() && self.offer().is_none() {
            true => Pane::Chat,
            false => Pane::Prompt,
        }
    }

    /// Whether the inspector follows the running answer and is in view.
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

    /// The answer that the panels describe: the last one with a round.
    pub fn newest_turn(&self) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| !turn.rounds.is_empty())
    }

    /// The turn whose answers are stepped through: the one under the cursor, or the last one with several.
    pub fn turn_with_answers(&self) -> Option<usize> {
        let several = |at: &usize| self.turns.get(*at).is_some_and(|turn| turn.answers() > 1);
        let under_cursor = self.view.cursor.map(|cursor| cursor.turn);
        let last = || (0..self.turns.len()).rev().find(several);
        under_cursor.filter(several).or_else(last)
    }

    /// Tokens in the context, as of the last answer or the running prefill.
    pub fn context_used(&self) -> Option<usize> {
        if let Phase::Prefill { total, .. } = self.phase
            && total > 0
        {
            return Some(total);
        }
        let last = self
            .turns
            .iter()
            .rev()
            .find_map(|turn| turn.rounds.last())?;
        Some(last.position + last.len())
    }

    /// The prompt, if it is sent once the model is loaded.
    pub(super) fn waiting_prompt(&self) -> Option<&str> {
        self.send_when_loaded.then(|| self.prompt.text())
    }

    /// The loaded model, as sessions record it.
    pub(super) fn model_record(&self) -> Option<ModelRecord> {
        let model = self.model.as_ref()?;
        Some(ModelRecord::new(model, self.fingerprint.clone()))
    }

    /// The last race, if the model that wrote the newest answer, or else the loaded one, raced in it.
    pub fn race_of_model(&self) -> Option<&transcript::Race> {
        let raced = self.raced.as_ref()?;
        let loaded = || self.model_record().map(Arc::new);
        let model = self
            .newest_turn()
            .map_or_else(loaded, |turn| turn.model.clone());
        let is_same = match (&raced.model, &model) {
            (Some(raced), Some(model)) => raced.is(model),
            (raced, model) => raced.is_none() && model.is_none(),
        };
        is_same.then_some(raced)
    }

    /// Layer count L, if a model is loaded.
    pub fn layers(&self) -> Option<usize> {
        self.model.as_ref().map(|model| model.config.num_layers)
    }

    /// The turn whose lens the engine can compute: the last one, if the loaded model generated it.
    pub fn lens_turn(&self) -> Option<&Turn> {
        let turn = self.turns.last().filter(|_| self.model.is_some())?;
        let known = turn.run.is_some() && turn.run == self.last_run;
        (known || self.can_read_again(turn)).then_some(turn)
    }

    /// Whether the engine can recompute an answer whose keys and values it no longer has.
    fn can_read_again(&self, turn: &Turn) -> bool {
        let same = turn.model.as_ref().zip(self.model_record());
        let same = same.is_some_and(|(own, loaded)| own.has_weights_of(&loaded));
        self.live && turn.outcome.is_some() && same
    }

    /// Whether the engine is still computing the lens of a map.
    pub fn lens_pending(&self) -> bool {
        let lens = self.lens_turn().and_then(|turn| turn.lens.as_ref());
        lens.is_some_and(|lens| !lens.complete() && lens.failed.is_none())
    }

    /// What Enter loads in an empty prompt if no model could be loaded: one that can be downloaded.
    pub fn offer(&self) -> Option<Offer> {
        let failed = matches!(
            self.phase,
            Phase::Failed {
                engine_lives: true,
                ..
            }
        );
        if !failed || self.model.is_some() {
            return None;
        }
        if self.remote.is_some() {
            return Some(Offer {
                model: self.request.model.clone(),
                label: "try again",
            });
        }
        let published = Some(PUBLISHED_MODEL.to_string());
        let (model, label) = match self.request.model.as_deref() {
            None => (published, "fetch the published model"),
            Some(PUBLISHED_MODEL) => (published, "try again"),
            Some(_) => (None, "load the bundled model"),
        };
        Some(Offer { model, label })
    }

    pub(super) fn notify(&mut self, text: impl Into<String>) {
        self.set_notice(text.into(), false);
    }

    pub(super) fn notify_error(&mut self, text: impl Into<String>) {
        self.set_notice(text.into(), true);
    }

    fn set_notice(&mut self, text: String, is_error: bool) {
        self.notice = Some(Notice {
            text,
            is_error,
            since: None,
            about: None,
        });
    }

    /// Ties the notice to what it speaks of.
    pub(super) fn notice_is_about(&mut self, subject: Subject) {
        if let Some(notice) = &mut self.notice {
            notice.about = Some(subject);
        }
    }

    /// Drops the notice if what it speaks of has gone.
    pub(super) fn drop_stale_notice(&mut self) {
        let is_current = |about: Subject| match about {
            Subject::Queued(count) => self.queued.len() >= count,
            Subject::Answer => self.run().is_some() || self.side_run().is_some(),
            Subject::Loading => matches!(self.phase, Phase::Loading { .. }),
            Subject::WaitingPrompt => self.send_when_loaded,
            Subject::Retracted => self.retracted.is_some(),
        };
        let about = self.notice.as_ref().and_then(|notice| notice.about);
        if about.is_some_and(|about| !is_current(about)) {
            self.notice = None;
        }
    }
}

impl ControlsPanel {
    /// Whether there is a change to undo.
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
