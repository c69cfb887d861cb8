//! The background thread that owns the model: commands in, events out.

mod generation;
mod message;
mod thread;

pub use message::{Command, Event, Message, ModelInfo, ModelRequest, Prompt, Role, RunId};
pub use thread::{Worker, spawn};
