//! The app: what is on screen, and how it changes. Pure: no IO, no clock, no randomness. [`update`] takes a message and
//! returns effects for the driver.
//!
//! Each module uses only those above it in this list: `appearance`, `controls`, `input`, `config`, `commands`, `state`,
//! `message`, `available`, `update`, `hints`.

mod appearance;
pub mod available;
pub mod commands;
mod config;
pub mod controls;
pub mod hints;
pub mod input;
mod message;
pub mod state;
pub mod update;

pub use appearance::{Appearance, ColorDepth, ThemeName};
pub use config::{Config, ConfigChange, Overflow, Preset};
pub use controls::Control;
pub use input::action::Pane;
pub use input::{Action, Context, Key, KeyMap};
pub use message::{Effect, Link, Msg};
pub use state::{
    App, ControlsPanel, Display, Editor, Folder, FolderEntry, Lens, Listed, Menu, Mode,
    ModelChoice, Notice, Offer, Options, Overlay, Phase, Player, Race, Regions, Remote,
    ReplayScreen, Retracted, Run, SessionList, Shared, State, Target, TokenRef, Turn, View,
    Viewport, WhatIf,
};
pub use update::update;
