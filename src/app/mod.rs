//! The state of the screen and how it changes. Pure: no IO, no clock, no randomness; [`update`] takes a message and
//! gives back what the driver is to do.

pub mod action;
pub mod browser;
pub mod commands;
mod config;
pub mod control;
mod editor;
mod engine;
pub mod hints;
pub mod keymap;
mod loading;
mod look;
mod message;
mod mouse;
mod overlay;
mod panel;
pub mod picker;
pub mod player;
pub mod race;
mod recall;
mod regions;
mod relevance;
mod state;
mod talk;
pub mod turn;
mod update;
mod walk;
pub mod what_if;
mod withdrawn;

pub use action::{Action, Browse, Pane, Play};
pub use browser::{Browser, Listed};
pub use config::{Config, Preset};
pub use control::Control;
pub use editor::Editor;
pub use loading::Offer;
pub use look::{ColorDepth, Look, ThemeName};
pub use message::{Effect, Msg};
pub use player::Player;
pub use race::Race;
pub use regions::{Regions, Target, Viewport};
pub use state::{ControlsPanel, ModelChoice, Notice, Options, Overlay, Phase, Run, State, View};
pub use turn::{Mode, TokenRef, Turn};
pub use update::update;
pub use what_if::{Lens, WhatIf};
pub use withdrawn::Withdrawn;
