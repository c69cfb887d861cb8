//! Every item is done once and in phase order, also after panics.

use super::*;
use crate::engine::kernels::Shared;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

#[test]
fn every_item_is_done_once_and_in_phase_order() {
    for threads in [1, 2, 3, 7] {
        let pool = ThreadPool::new(threads);
        for n in [0, 1, 5, 1000] {
            let (mut a, mut b) = (vec![0usize; n], vec![0usize; n]);
            let (first, second) = (Shared::new(&mut a), Shared::new(&mut b));
            pool.run(&|worker| {
                worker.parallel_for(n, 3, |items| {
                    // SAFETY: each item is one worker's, and nothing else reads it in this phase.
                    items.for_each(|i| unsafe { first.slice(i, 1)[0] += i + 1 })
                });
                worker.parallel_for(n, 1, |items| {
                    // SAFETY: each item is one worker's, and `first` was written a phase ago.
                    items.for_each(|i| unsafe {
                        second.slice(i, 1)[0] = first.slice(n - 1 - i, 1)[0]
                    });
                });
            });
            assert!(b.into_iter().eq((0..n).map(|i| n - i)));
        }
    }
}

/// More phases than the tags of work ranges can distinguish, some without items for some workers.
#[test]
fn stale_work_ranges_are_ignored() {
    let (pool, count) = (ThreadPool::new(2), AtomicUsize::new(0));
    pool.run(&|worker| {
        for phase in 0..70_000 {
            worker.parallel_for(phase % 4, 1, |items| {
                _ = count.fetch_add(items.len(), Relaxed)
            });
        }
    });
    assert_eq!(count.into_inner(), 70_000 / 4 * 6);
}

#[test]
fn workers_steal_from_a_slow_one() {
    let pool = ThreadPool::new(3);
    let (count, first) = (AtomicUsize::new(0), AtomicBool::new(true));
    pool.run(&|worker| {
        // The first worker holds its first items until the others have done all the rest.
        worker.parallel_for(100, 1, |items| {
            count.fetch_add(items.len(), AcqRel);
            if first.swap(false, AcqRel) {
                wait_until(|| count.load(Acquire) == 100);
            }
        });
    });
    assert_eq!(count.into_inner(), 100);
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_survives() {
    let pool = ThreadPool::new(3);
    for at in [0, 40, 99] {
        let failed = catch_unwind(AssertUnwindSafe(|| {
            pool.run(&|worker| {
                worker.parallel_for(100, 1, |items| assert!(!items.contains(&at), "no"));
                worker.parallel_for(100, 1, |_| ());
            });
        }));
        assert!(failed.is_err());
        let count = AtomicUsize::new(0);
        pool.run(&|worker| {
            worker.parallel_for(100, 1, |items| _ = count.fetch_add(items.len(), Relaxed))
        });
        assert_eq!(count.into_inner(), 100);
    }
}

#[test]
fn a_sleeping_pool_wakes_up() {
    let pool = ThreadPool::new(2);
    for _ in 0..3 {
        thread::sleep(SPIN_TIME * 10);
        let count = AtomicUsize::new(0);
        pool.run(&|worker| {
            worker.parallel_for(10, 1, |items| _ = count.fetch_add(items.len(), Relaxed))
        });
        assert_eq!(count.into_inner(), 10);
    }
}
