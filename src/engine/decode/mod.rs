//! Autoregressive, early-exit and self-speculative decoding.

mod record;
mod settings;
mod stats;

pub use record::{Candidate, DraftToken, FinalToken, KeptToken, LayerChoice, Origin, Round, StopReason, TokenDetail};
pub use settings::{Settings, Strategy};
pub use stats::{PositionCount, Stats};
