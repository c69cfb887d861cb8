//! Phases of a job: each divides its items among the workers and ends at a barrier.

use super::sync::{AtomicBool, AtomicUsize, Ordering::*, wait_until};
use super::work_range::{MAX_ITEMS, WorkRange};
use crossbeam_utils::CachePadded;
use std::ops::Range;

/// State shared by the workers of a pool during a job.
pub struct Phases {
    threads: usize,
    /// Workers that have reached the end of the current phase.
    arrived: CachePadded<AtomicUsize>,
    /// Counts phases; a change releases the workers from the barrier.
    phase: CachePadded<AtomicUsize>,
    /// The unclaimed part of each worker's share.
    ranges: Box<[CachePadded<WorkRange>]>,
    failed: AtomicBool,
}

impl Phases {
    /// Phases for `threads` workers.
    pub fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: CachePadded::new(AtomicUsize::new(0)),
            // Phase 0 is the tag of the initial ranges.
            phase: CachePadded::new(AtomicUsize::new(1)),
            ranges: (0..threads).map(|_| CachePadded::default()).collect(),
            failed: AtomicBool::new(false),
        }
    }

    /// Number of workers.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work` for parts of `0..n`, in multiples of `grain`, and waits until the workers have done all of it. Each
    /// worker starts with an equal contiguous share, so that memory is read in long runs. A worker that is done steals
    /// from the ends of the others' shares, so that a busy core does not hold up the rest.
    pub fn parallel_for(
        &self,
        worker: usize,
        n: usize,
        grain: usize,
        mut work: impl FnMut(Range<usize>),
    ) {
        if self.threads == 1 {
            return work(0..n);
        }
        let grain = grain * n.div_ceil(grain).div_ceil(MAX_ITEMS).max(1);
        let count = n.div_ceil(grain);
        while let Some(part) = self
            .claim(worker, count)
            .or_else(|| self.steal(worker, count))
        {
            work(part.start * grain..n.min(part.end * grain));
        }
        self.barrier();
    }

    /// The next items of this worker's share of `0..count`: a quarter of what is left of it.
    fn claim(&self, worker: usize, count: usize) -> Option<Range<usize>> {
        self.ranges[worker].claim(self.current(), self.share(worker, count), split_quarter)
    }

    /// Moves half of another worker's remaining items to this worker's share, and claims the first part of them.
    fn steal(&self, worker: usize, count: usize) -> Option<Range<usize>> {
        let stolen = (1..self.threads).find_map(|i| {
            let victim = (worker + i) % self.threads;
            self.ranges[victim].claim(self.current(), self.share(victim, count), |unclaimed| {
                let start = unclaimed.end - unclaimed.len().div_ceil(2);
                (unclaimed.start..start, start..unclaimed.end)
            })
        })?;
        let (rest, first) = split_quarter(stolen);
        self.ranges[worker].refill(self.current(), rest);
        Some(first)
    }

    /// A worker's share of `0..count` at the start of a phase.
    fn share(&self, worker: usize, count: usize) -> Range<usize> {
        worker * count / self.threads..(worker + 1) * count / self.threads
    }

    /// The current phase, which cannot end before the calling worker reaches the barrier.
    fn current(&self) -> usize {
        self.phase.load(Relaxed)
    }

    /// Waits until all workers have arrived. Panics if one of them failed.
    fn barrier(&self) {
        let phase = self.phase.load(Relaxed);
        if self.arrived.fetch_add(1, AcqRel) + 1 == self.threads {
            self.arrived.store(0, Relaxed);
            self.phase.store(phase.wrapping_add(1), Release);
            return;
        }
        wait_until(|| self.phase.load(Acquire) != phase || self.failed.load(Relaxed));
        assert!(
            self.phase.load(Acquire) != phase,
            "another worker of the pool panicked"
        );
    }

    /// Releases the other workers from their barrier, because this one will not reach it.
    pub fn fail(&self) {
        self.failed.store(true, Release);
    }

    /// Whether a worker has failed since the last call. Called when no worker is running.
    pub fn reset(&self) -> bool {
        let failed = self.failed.swap(false, Relaxed);
        if failed {
            self.arrived.store(0, Relaxed);
            // Ranges left over from this phase must not match a later one.
            self.phase.fetch_add(1, Relaxed);
        }
        failed
    }
}

/// Splits off the first quarter of the items, at least one. Returns the rest and the quarter.
fn split_quarter(items: Range<usize>) -> (Range<usize>, Range<usize>) {
    let end = items.start + (items.len() / 4).max(1);
    (end..items.end, items.start..end)
}
