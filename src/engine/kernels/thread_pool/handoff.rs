//! Handing a job to the spawned workers and waiting until they have finished it.

use super::sync::{AtomicBool, AtomicUsize, Ordering::*, UnsafeCell};
use crossbeam_utils::CachePadded;

/// A slot for one job at a time.
pub struct Handoff<T> {
    /// The current job, written before `posted` changes.
    job: UnsafeCell<Option<T>>,
    /// Counts jobs; a change starts the workers.
    posted: CachePadded<AtomicUsize>,
    /// Workers that have not finished the current job.
    busy: CachePadded<AtomicUsize>,
    quit: AtomicBool,
}

// SAFETY: `job` is written by `post`, which requires that no worker is busy, and published by `posted`; workers read it
// before they stop being busy. Each gets a copy, which needs `Send`.
unsafe impl<T: Copy + Send> Sync for Handoff<T> {}

impl<T: Copy> Handoff<T> {
    pub fn new() -> Self {
        Self {
            job: UnsafeCell::default(),
            posted: CachePadded::new(AtomicUsize::new(0)),
            busy: CachePadded::new(AtomicUsize::new(0)),
            quit: AtomicBool::new(false),
        }
    }

    /// Hands `job` to `workers` workers.
    ///
    /// # Safety
    /// No worker is busy, and no other thread posts at the same time.
    pub unsafe fn post(&self, job: T, workers: usize) {
        // SAFETY: the caller guarantees that no worker is busy, and workers read the job only while they are.
        self.job.with_mut(|slot| unsafe { *slot = Some(job) });
        self.busy.store(workers, Relaxed);
        self.posted.fetch_add(1, Release);
    }

    /// Stops the workers.
    pub fn quit(&self) {
        self.quit.store(true, Relaxed);
        self.posted.fetch_add(1, Release);
    }

    /// Whether more than `seen` jobs have been posted.
    pub fn is_posted(&self, seen: usize) -> bool {
        self.posted.load(Acquire) != seen
    }

    /// The current job; `None` if the worker must exit. Called once after each [`is_posted`](Self::is_posted) that
    /// returned true, and followed by [`finish`](Self::finish).
    pub fn take(&self) -> Option<T> {
        if self.quit.load(Relaxed) {
            return None;
        }
        // SAFETY: the calling worker is busy, so `post` does not write; it read `posted`, which publishes the job.
        self.job.with(|slot| unsafe { *slot })
    }

    /// Ends a worker's part of the current job.
    pub fn finish(&self) {
        self.busy.fetch_sub(1, Release);
    }

    /// Whether all workers have finished the current job.
    pub fn is_finished(&self) -> bool {
        self.busy.load(Acquire) == 0
    }
}
