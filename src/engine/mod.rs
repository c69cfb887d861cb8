//! The early-exit Llama and its decoding. Nothing here depends on the screen or the command line.

#![warn(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks
)]

pub mod config;
pub mod decode;
mod error;
mod estimates_file;
pub mod kernels;
pub mod loaded_model;
pub mod memory;
pub mod model;
mod progress;
pub mod prompt;
pub mod sampling;
mod splitmix;
pub mod text;
pub mod turns;
pub mod weights;
pub mod worker;

pub use error::{Error, ErrorKind, Result};
pub use progress::Progress;
