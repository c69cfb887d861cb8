//! Logits → filtered distribution → token.
//!
//! [`History`] applies penalties to the logits, [`Distribution`] filters them, [`noise`] is the only source of
//! randomness, and [`Sampler`] combines them for both draft and verify.

mod distribution;
mod history;
pub mod noise;
mod residual;
mod sampler;
mod settings;
mod softmax;

pub use distribution::{Distribution, VocabSubset};
pub use history::History;
pub use residual::Residual;
pub use sampler::{Pick, Sampler, Selection, Verdict};
pub use settings::{Coupling, Sampling};
