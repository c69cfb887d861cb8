//! Messages into the app and effects out of it.

use super::config::{ConfigChange, Preset};
use super::input::Action;
use super::state::sweep::SweepRow;
use super::state::{Folder, Listed, ModelChoice, Regions};
use crate::engine::prompt::Prompt;
use crate::engine::worker::{Command, Event};
use crate::remote::{Said, Watched};
use crate::transcript::{Entry, Session};
use crossterm::event::{KeyEvent, MouseEvent};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Msg {
    Key(KeyEvent),
    Mouse(MouseEvent),
    /// A bracketed paste.
    Paste(String),
    /// The terminal was resized; the next frame gets a new layout.
    Resize,
    Engine(Event),
    /// The engine's thread has ended.
    EngineGone,
    /// The connection to a server changed.
    Link(Link),
    /// Something happened to a request of another client of the server.
    Watched {
        request: u64,
        said: Said,
    },
    /// Reports about requests of other clients were left out: how many, and which requests are in progress.
    Missed {
        reports: u64,
        open: Vec<(u64, Watched)>,
    },
    /// Time since the start; sent while something is animated.
    Tick(Duration),
    /// A frame was drawn, with its regions.
    Drawn(Regions),
    /// From a slash command or a test.
    Action(Action),
    /// The text returned by `$EDITOR`.
    Edited(String),
    /// A saved session, to resume.
    SessionLoaded(Arc<Session>),
    /// A saved session, to replay.
    ReplayLoaded(Arc<Session>),
    /// The files of a folder.
    Folder(Folder),
    /// The models that were found.
    Models(Vec<ModelChoice>),
    /// Sessions found so far by the search with this id; `done` when it is complete.
    Sessions {
        search_id: u64,
        listed: Vec<Listed>,
        done: bool,
    },
    SessionRenamed,
    /// A session was moved to the trash; `own` if it was the one being recorded.
    SessionDeleted {
        id: String,
        own: bool,
    },
    /// A session was restored from the trash.
    SessionRestored(String),
    /// A sweep was read from a CSV file or a run folder; `plain` is the speed of plain decoding, in tokens per second.
    SweepLoaded {
        title: String,
        rows: Vec<SweepRow>,
        plain: Option<f64>,
    },
    /// The presets of the settings file, including those of other instances.
    Presets(BTreeMap<String, Preset>),
    /// What an effect did, for a notice.
    EffectDone(String),
    EffectFailed(String),
}

/// A change of the connection to a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Lost; reconnecting.
    Lost(String),
    /// Reconnected.
    Restored,
    /// Given up; only the user can reconnect.
    GivenUp(String),
}

/// Something for the driver to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(Command),
    /// Put text on the clipboard.
    Copy(String),
    /// Open `$EDITOR` on a text.
    Edit(String),
    /// Capture the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Change one thing in the settings file.
    ChangeConfig(ConfigChange),
    /// Find the models to choose from. Replacing the current one frees `in_use` bytes.
    FindModels {
        in_use: u64,
    },
    /// List the files of a folder, spelled as in the prompt; empty is the current folder.
    ListFolder(String),
    /// Start a new session for all that follows.
    BeginSession,
    /// The next run answers the last prompt again: keep the current answer in the journal beside the new one.
    KeepAnswer,
    /// Record in the journal which of several answers the conversation uses.
    ShowAnswers(Prompt),
    /// Record in the journal what the user set between two answers.
    Record(Entry),
    /// Save the session under a name or a path.
    SaveSession(String),
    /// Resume the session with this name or path; `last` is the newest.
    LoadSession(String),
    /// Read the session with this name or path to replay it.
    ReplaySession(String),
    /// Search the sessions; the results carry the id of the search.
    ListSessions {
        search_id: u64,
        search: String,
    },
    RenameSession {
        path: PathBuf,
        title: String,
    },
    /// Move the session with this id to the trash, or restore it.
    DeleteSession(String),
    RestoreSession(String),
    /// Read a sweep from a CSV file or a run folder.
    OpenSweep(PathBuf),
    /// Save a screenshot.
    Picture(Option<String>),
    Suspend,
    Quit,
}
