//! How a caller follows and controls decoding while it runs.

use super::{DraftToken, Round, Settings};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The next phase of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A chunk of the prompt.
    Prefill,
    /// One draft token.
    Draft,
    /// The verification of a draft, or a whole step without a draft.
    Verify,
}

/// Follows decoding. Every method has a default.
pub trait Observer {
    /// `done` of `total` prompt tokens are computed; `cached` of them were found in the cache.
    fn prefill(&mut self, _done: usize, _total: usize, _cached: usize) {}

    /// A token was drafted. The round reports later whether it was accepted.
    fn drafted(&mut self, _token: &DraftToken) {}

    /// Called before each phase; it may wait. Break cancels the run.
    fn poll(&mut self, _next: Phase) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// Whether to poll before every draft token, even if a device could run a whole round at once.
    fn single_steps(&self) -> bool {
        false
    }

    /// The settings of the next round; `None` if they have not changed since the last one.
    fn settings(&mut self) -> Option<Arc<Settings>> {
        None
    }

    /// A round is finished. Break cancels the run after it.
    fn round(&mut self, _round: Round) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Observes nothing.
impl Observer for () {}
