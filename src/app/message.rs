//! What comes into the state and what goes out of it.

use super::{Action, Config, Regions, Session};
use crate::engine::worker::{Command, Event};
use crossterm::event::{KeyEvent, MouseEvent};
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
    SessionLoaded(Session),
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
    SaveConfig(Config),
    /// Save the session under a name or a path.
    SaveSession(String),
    /// Take up the session of that name or path; `last` is the newest.
    LoadSession(String),
    Suspend,
    Quit,
}
