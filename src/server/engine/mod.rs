//! The engine of the server: one thread that runs jobs in order of arrival.

mod job;
mod pool;
mod queue;
mod worker;

pub use job::{Item, Job, Scoring, Update};
pub use queue::{Queue, Ticket};
pub use worker::Worker;
