//! The unclaimed part of a worker's share of a phase.

use super::sync::{AtomicU64, Ordering::Relaxed};
use std::ops::Range;

/// Max number of items of a phase.
pub const MAX_ITEMS: usize = (1 << BITS) - 1;
const BITS: usize = 24;

/// A range of items, tagged with the phase that it belongs to modulo 2^16. Every worker visits its own range in every
/// phase, so tags of earlier phases cannot be mistaken for the current one. Claims need no memory ordering, because a
/// barrier separates writing a result from reading it.
#[derive(Default)]
pub struct WorkRange(AtomicU64);

impl WorkRange {
    /// Claims items: `split` divides the unclaimed items into those that stay and those that are claimed. `whole` is
    /// the range at the start of a phase. Returns `None` if nothing is left.
    pub fn claim(
        &self,
        phase: usize,
        whole: Range<usize>,
        split: impl Fn(Range<usize>) -> (Range<usize>, Range<usize>),
    ) -> Option<Range<usize>> {
        let mut packed = self.0.load(Relaxed);
        loop {
            let unclaimed = match unpack(phase, packed) {
                Some(range) if range.is_empty() => return None,
                Some(range) => range,
                None => whole.clone(),
            };
            // Even a range that is empty from the start is stored, with the tag of this phase.
            let (stays, claimed) = if unclaimed.is_empty() {
                (0..0, 0..0)
            } else {
                split(unclaimed)
            };
            match self
                .0
                .compare_exchange_weak(packed, pack(phase, stays), Relaxed, Relaxed)
            {
                Ok(_) => return Some(claimed).filter(|claimed| !claimed.is_empty()),
                Err(now) => packed = now,
            }
        }
    }

    /// Replaces an empty range, which no other thread changes.
    pub fn refill(&self, phase: usize, items: Range<usize>) {
        self.0.store(pack(phase, items), Relaxed);
    }
}

fn pack(phase: usize, items: Range<usize>) -> u64 {
    (phase as u64) << (2 * BITS) | (items.start as u64) << BITS | items.end as u64
}

/// The items, if they belong to `phase`.
fn unpack(phase: usize, packed: u64) -> Option<Range<usize>> {
    let field = |shift: usize| (packed >> shift) as usize & MAX_ITEMS;
    (packed >> (2 * BITS) == phase as u64 & 0xFFFF).then(|| field(BITS)..field(0))
}
