//! Logits → filtered distribution → token.
//!
//! [`History`] changes the logits (penalties), [`Distribution`] is what filtering leaves of them, [`noise`] is all the
//! randomness there is, and [`Sampler`] puts them together for draft and verify alike.

mod distribution;
mod history;
pub mod noise;
mod sampler;
mod settings;
mod softmax;

pub use distribution::{Distribution, VocabSubset};
pub use history::History;
pub use sampler::{Pick, Sampler, Verdict};
pub use settings::{Coupling, Sampling};
