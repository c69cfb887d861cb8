//! The early-exit Llama and all that decodes with it. Nothing here knows of the screen or of the command line.

pub mod config;
pub mod decode;
mod error;
pub mod kernels;
pub mod loaded_model;
pub mod memory;
pub mod model;
mod progress;
pub mod prompt;
pub mod sampling;
mod splitmix;
pub mod text;
pub mod weights;
pub mod worker;

pub use error::{Error, ErrorKind, Result};
pub use progress::Progress;
