//! The background thread that owns the model: commands in, events out.

mod generation;
mod loading;
mod message;
mod race;
#[cfg(test)]
mod tests;
mod thread;

pub use loading::Loader;
pub use message::{Command, Event, Lane, Message, ModelInfo, ModelRequest, Prompt, Role, RunId};
pub use thread::{Worker, spawn, spawn_with};
