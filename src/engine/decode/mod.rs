//! Autoregressive, early-exit and self-speculative decoding.
//!
//! A [`Decoder`] decodes a [`Session`] round by round; each [`Round`] is the whole record of what happened in it.

mod autopilot;
mod cost;
mod decoder;
mod forecast;
mod lens;
mod record;
mod session;
mod settings;
mod speculative;
mod stats;
mod stop;
#[cfg(test)]
mod tests;
mod watch;

pub use autopilot::Controller;
pub use decoder::{Decoder, Run};
pub use forecast::{Costs, Forecast};
pub use lens::LensRow;
pub use record::{
    Candidate, DraftToken, FinalToken, KeptToken, LayerChoice, Origin, Round, StopReason,
    TokenDetail,
};
pub use session::Session;
pub use settings::{Settings, Strategy};
pub use stats::{PositionCount, Stats};
pub use watch::{Phase, Watch};
