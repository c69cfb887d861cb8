//! The background thread that owns the model: commands in, events out.

mod generation;
mod message;
mod race;
#[cfg(test)]
mod tests;
mod thread;

pub use message::{Command, Event, Lane, Message, ModelInfo, ModelRequest, Prompt, Role, RunId};
pub use thread::{Loader, Worker, spawn, spawn_with};
