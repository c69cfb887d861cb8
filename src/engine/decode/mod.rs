//! Autoregressive, early-exit and self-speculative decoding.
//!
//! A [`Decoder`] decodes a [`Session`] round by round; each [`Round`] is a complete record.

mod baseline;
mod chooser;
mod controller;
mod cost_model;
mod decoder;
mod draft;
mod draft_vocab;
mod early_exit;
mod estimates;
mod forecast;
mod generate;
mod growth;
mod lens;
mod lookup;
mod observer;
mod plain;
mod round;
mod score;
mod score_cache;
mod session;
mod settings;
mod stats;
#[cfg(test)]
mod tests;
mod text_output;
mod timings;
mod token;
mod tree;
mod verify;
mod work;

pub use baseline::{Baselines, PlainStep, SpeedUp};
pub use controller::Controller;
pub use cost_model::CostModel;
pub use decoder::{Decoder, Run};
pub use forecast::Forecast;
pub use generate::Finished;
pub use lens::LensRow;
pub use observer::{Observer, Phase};
pub use round::{KeptToken, Outcome, Round, RoundToken, RoundTokens, StopReason};
pub use score::TokenScore;
pub use score_cache::{ScoreCache, common_prefix};
pub use session::Session;
pub use settings::{Proposers, Settings, Strategy};
pub use stats::{DraftCount, PositionCount, ProposerCounts, Stats};
pub use timings::Timings;
pub use token::{
    Candidate, ClosingToken, DraftToken, LayerChoice, Origin, Parent, Proposer, TokenDetail,
    TokenLogprobs, TopLogprob,
};
