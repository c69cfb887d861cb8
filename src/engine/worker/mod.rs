//! The background thread that owns the model: commands in, events out.

mod generation;
mod loading;
mod protocol;
mod race;
#[cfg(test)]
mod tests;
mod thread;

pub use loading::Loader;
pub use protocol::{Command, Event, Lane, RunId};
pub use thread::{Worker, spawn, spawn_with};
