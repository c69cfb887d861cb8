//! What comes into the state and what goes out of it.

use super::{Action, ConfigChange, Listed, Preset, Regions};
use crate::engine::worker::{Command, Event};
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
    /// The terminal has another size; the next frame is laid out anew.
    Resize,
    Engine(Event),
    /// The engine's thread is gone.
    EngineGone,
    /// Time since the start; sent while something moves by itself.
    Tick(Duration),
    /// A frame was drawn, with its regions.
    Drawn(Regions),
    /// From a slash command or a test.
    Action(Action),
    /// The text that came back from `$EDITOR`.
    Edited(String),
    /// A kept session, to go on with.
    SessionLoaded(Arc<Session>),
    /// A kept session, to be played.
    ReplayLoaded(Arc<Session>),
    /// Sessions found so far for the search of that number; `done` when there are no more.
    Sessions {
        ask: u64,
        listed: Vec<Listed>,
        done: bool,
    },
    SessionRenamed,
    /// A session is in the trash; `own` if it was the one being kept.
    SessionDeleted {
        id: String,
        own: bool,
    },
    /// A session is back from the trash.
    SessionRestored(String),
    /// The presets of the settings file, those of other instances among them.
    Presets(BTreeMap<String, Preset>),
    /// An effect is done or went wrong; say so.
    Done(String),
    Wrong(String),
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
    /// Change the settings file, and nothing else in it.
    ChangeConfig(ConfigChange),
    /// What is said from now on is another session.
    BeginSession,
    /// Note in the journal what the user set while nothing was being written.
    Record(Entry),
    /// Save the session under a name or a path.
    SaveSession(String),
    /// Take up the session of that name or path; `last` is the newest.
    LoadSession(String),
    /// Fetch the session of that name or path to play it.
    ReplaySession(String),
    /// Search the sessions; the answers carry the number of the question.
    ListSessions {
        ask: u64,
        search: String,
    },
    RenameSession {
        path: PathBuf,
        title: String,
    },
    /// Move the session of that id to the trash, or take it back from there.
    DeleteSession(String),
    RestoreSession(String),
    /// Save a picture of the screen.
    Picture(Option<String>),
    Suspend,
    Quit,
}
