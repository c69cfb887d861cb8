//! The background thread that owns the model: commands in, events out.

mod control;
mod fit;
mod inbox;
mod loading;
mod protocol;
mod tasks;
#[cfg(test)]
mod tests;
mod thread;

pub use inbox::{CommandSender, WorkerGone};
pub use loading::Loader;
pub use protocol::{
    Command, ConversationId, Event, Failure, Lane, ModelEvent, RunEvent, RunId, SweepCell, Task,
};
pub(crate) use thread::panic_message;
pub use thread::{Worker, spawn, spawn_paced, spawn_with};
