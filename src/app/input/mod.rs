//! Keys, and the actions that they are bound to.

pub mod action;
mod key;
pub mod keymap;

pub use action::Action;
pub use key::Key;
pub use keymap::{Context, KeyMap, Overrides};
