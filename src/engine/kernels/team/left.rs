//! What is left of a member's part of a phase.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Most items of a phase.
pub const MOST: usize = (1 << BITS) - 1;
const BITS: usize = 24;

/// A range of items with the phase that it belongs to, for as many phases as there are in 16 bits. Every member sees to its
/// own in every phase, so older ones don't come up again. Claims need no order: members meet before they use each other's
/// results.
#[derive(Default)]
pub struct Left(AtomicU64);

impl Left {
    /// Takes some of the items: `split` says what stays and what is taken. `whole` is all there is at the beginning of a
    /// phase. `None` if nothing is left.
    pub fn change(
        &self,
        phase: usize,
        whole: Range<usize>,
        split: impl Fn(Range<usize>) -> (Range<usize>, Range<usize>),
    ) -> Option<Range<usize>> {
        let mut packed = self.0.load(Relaxed);
        loop {
            let left = match unpack(phase, packed) {
                Some(left) if left.is_empty() => return None,
                Some(left) => left,
                None => whole.clone(),
            };
            // Where there is nothing from the beginning, that is noted for this phase.
            let (stays, taken) = if left.is_empty() {
                (0..0, 0..0)
            } else {
                split(left)
            };
            match self
                .0
                .compare_exchange_weak(packed, pack(phase, stays), Relaxed, Relaxed)
            {
                Ok(_) => return Some(taken).filter(|taken| !taken.is_empty()),
                Err(now) => packed = now,
            }
        }
    }

    /// Sets what is left, where nothing is: no one else changes it then.
    pub fn set(&self, phase: usize, items: Range<usize>) {
        self.0.store(pack(phase, items), Relaxed);
    }
}

fn pack(phase: usize, items: Range<usize>) -> u64 {
    (phase as u64) << (2 * BITS) | (items.start as u64) << BITS | items.end as u64
}

/// The items, if they are of that phase.
fn unpack(phase: usize, packed: u64) -> Option<Range<usize>> {
    let part = |shift: usize| (packed >> shift) as usize & MOST;
    (packed >> (2 * BITS) == phase as u64 & 0xFFFF).then(|| part(BITS)..part(0))
}
