//! A model check of the thread pool: loom runs its synchronisation under every interleaving of the threads, and reports
//! data races, lost wake-ups and deadlocks. The code is the pool's own, compiled against loom's atomics.
//!
//! `cargo test --manifest-path tools/loom/Cargo.toml -- --nocapture --test-threads=1`
#![cfg(test)]

use loom::thread;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

mod sync {
    pub use loom::cell::UnsafeCell;
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

    pub fn wait_until(ready: impl Fn() -> bool) {
        while !ready() {
            loom::thread::yield_now();
        }
    }
}

#[path = "../../../src/engine/kernels/thread_pool/handoff.rs"]
mod handoff;
#[path = "../../../src/engine/kernels/thread_pool/phases.rs"]
mod phases;
#[path = "../../../src/engine/kernels/thread_pool/work_range.rs"]
mod work_range;

use handoff::Handoff;
use phases::Phases;
use sync::UnsafeCell;

/// Runs `model` under all interleavings with at most `preemptions` preemptions, enough to find nearly all bugs. Returns
/// the number of interleavings.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        model();
    });
    let count = count.load(Relaxed);
    println!("{count} interleavings with at most {preemptions} preemptions");
    count
}

/// Items that loom checks for data races.
struct Items(Vec<UnsafeCell<usize>>);

// SAFETY: this is what the model checks: loom reports concurrent access.
unsafe impl Sync for Items {}

impl Items {
    fn new(n: usize) -> Self {
        Self((0..n).map(|_| UnsafeCell::new(0)).collect())
    }

    fn get(&self, i: usize) -> usize {
        // SAFETY: loom checks that no thread writes the item at the same time.
        self.0[i].with(|item| unsafe { *item })
    }

    fn add(&self, i: usize, by: usize) {
        // SAFETY: loom checks that no other thread accesses the item at the same time.
        self.0[i].with_mut(|item| unsafe { *item += by });
    }
}

/// Runs `job` on two threads that share phases.
fn on_two_threads(phases: &Arc<Phases>, job: impl Fn(&Phases, usize) + Clone + Send + 'static) {
    let (other, theirs) = (phases.clone(), job.clone());
    let handle = thread::spawn(move || theirs(&other, 1));
    job(phases, 0);
    handle.join().unwrap();
}

#[test]
fn every_item_is_done_once_and_visible_after_the_barrier() {
    for n in [1, 2, 3] {
        let count = check(3, move || {
            let (first, second) = (Arc::new(Items::new(n)), Arc::new(Items::new(n)));
            let phases = Arc::new(Phases::new(2));
            assert_eq!(phases.threads(), 2);
            let (a, b) = (first.clone(), second.clone());
            on_two_threads(&phases, move |phases, worker| {
                phases.parallel_for(worker, n, 1, |items| items.for_each(|i| a.add(i, i + 1)));
                phases.parallel_for(worker, n, 1, |items| {
                    items.for_each(|i| b.add(i, a.get(n - 1 - i)));
                });
            });
            for i in 0..n {
                assert_eq!(second.get(i), n - i);
            }
        });
        assert!(count > 10);
    }
}

#[test]
fn a_failure_releases_the_others_and_can_be_reset() {
    let count = check(2, || {
        let phases = Arc::new(Phases::new(2));
        on_two_threads(&phases, |phases, worker| {
            let fails = |items: Range<usize>| assert!(!items.contains(&0), "on purpose");
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                phases.parallel_for(worker, 2, 1, fails);
            }));
            // The thread that took item 0 failed, and the other one was released from the barrier.
            assert!(outcome.is_err());
            phases.fail();
        });
        assert!(phases.reset() && !phases.reset());
        let items = Arc::new(Items::new(2));
        let done = items.clone();
        on_two_threads(&phases, move |phases, worker| {
            phases.parallel_for(worker, 2, 1, |part| part.for_each(|i| done.add(i, 1)));
        });
        assert_eq!([items.get(0), items.get(1)], [1, 1]);
    });
    assert!(count > 10);
}

#[test]
fn jobs_reach_the_worker_and_results_reach_the_owner() {
    let count = check(3, || {
        let (handoff, results) = (Arc::new(Handoff::new()), Arc::new(Items::new(1)));
        let (taken, written) = (handoff.clone(), results.clone());
        let worker = thread::spawn(move || {
            let mut seen = 0;
            loop {
                sync::wait_until(|| taken.is_posted(seen));
                seen += 1;
                let Some(job) = taken.take() else { return };
                written.add(0, job);
                taken.finish();
            }
        });
        for (job, total) in [(5, 5), (7, 12)] {
            // SAFETY: the worker has finished the previous job, if any, and there is only one owner.
            unsafe { handoff.post(job, 1) };
            sync::wait_until(|| handoff.is_finished());
            assert_eq!(results.get(0), total);
        }
        handoff.quit();
        worker.join().unwrap();
    });
    assert!(count > 10);
}
