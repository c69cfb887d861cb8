//! How a caller follows and steers decoding while it runs.

use super::DraftToken;
use std::ops::ControlFlow;

/// The work that comes next at a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A chunk of the prompt.
    Prefill,
    /// One draft token.
    Draft,
    /// The verification of what was drafted, or a whole step where nothing is drafted.
    Verify,
}

/// Follows decoding. Every method may be left out.
pub trait Watch {
    /// `done` of `total` prompt tokens are computed.
    fn prefill(&mut self, _done: usize, _total: usize, _cached: usize) {}

    /// A token was drafted; whether it is kept, the round will tell.
    fn drafted(&mut self, _token: &DraftToken) {}

    /// Called before each phase; it may wait. Break ends the run with [`Error::Cancelled`](crate::engine::Error).
    fn checkpoint(&mut self, _next: Phase) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Watches nothing.
impl Watch for () {}
