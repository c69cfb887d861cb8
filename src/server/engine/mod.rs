//! The engine as the server uses it: one thread that does jobs in the order in which they came.

mod job;
mod pool;
mod queue;
mod worker;

pub use job::{Item, Job, Scoring, Update};
pub use queue::{Queue, Ticket};
pub use worker::Worker;
