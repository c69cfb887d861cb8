//! A ticket lock for threads that decode on the same device: one computes at a time, in order of arrival.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The queue of threads that decode on a device.
#[derive(Default)]
pub struct Turns {
    /// The number of the thread that may compute.
    serving: Mutex<u64>,
    changed: Condvar,
    /// The next number to give out.
    next: AtomicU64,
}

/// A thread's handle. It does not hold the turn until [`Self::enter`], and gives it up on drop.
pub struct Turn {
    turns: Arc<Turns>,
    number: Option<u64>,
}

impl Turns {
    /// A handle for the calling thread.
    pub fn turn(self: &Arc<Self>) -> Turn {
        Turn {
            turns: self.clone(),
            number: None,
        }
    }

    /// The next number.
    fn number(&self) -> u64 {
        // Relaxed: numbers only order threads; the lock orders memory.
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn serving(&self) -> MutexGuard<'_, u64> {
        // A poisoned lock still holds a consistent number.
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits for the turn; no effect if the thread has it.
    pub fn enter(&mut self) {
        if self.number.is_none() {
            let number = self.turns.number();
            self.wait(number);
        }
    }

    /// Waits until `number` is served.
    fn wait(&mut self, number: u64) {
        let mut serving = self.turns.serving();
        while *serving != number {
            serving = self
                .turns
                .changed
                .wait(serving)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.number = Some(number);
    }

    /// Gives up the turn, if the thread has it.
    pub fn leave(&mut self) {
        if self.number.take().is_some() {
            *self.turns.serving() += 1;
            self.turns.changed.notify_all();
        }
    }

    /// Lets waiting threads compute first. Free if there are none.
    pub fn pass(&mut self) {
        let waits = |number| self.turns.next.load(Ordering::Relaxed) > number + 1;
        if self.number.is_some_and(waits) {
            // Before the turn is given up, so that threads that only pass it on alternate.
            let number = self.turns.number();
            self.leave();
            self.wait(number);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads alternate in the order in which they came, and never two compute at once.
    #[test]
    fn threads_that_wait_compute_in_turn() {
        const THREADS: u64 = 3;
        let turns = Arc::new(Turns::default());
        let mut first = turns.turn();
        first.enter();
        let (busy, order) = (Mutex::new(()), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for name in 0..THREADS {
                let (mut turn, busy, order) = (turns.turn(), &busy, &order);
                scope.spawn(move || {
                    turn.enter();
                    for _ in 0..200 {
                        let alone = busy.try_lock().expect("nobody else computes");
                        order.lock().unwrap().push(name);
                        drop(alone);
                        turn.pass();
                    }
                });
                // Each waits before the next comes.
                while turns.next.load(Ordering::Relaxed) < name + 2 {
                    std::thread::yield_now();
                }
            }
            assert!(order.lock().unwrap().is_empty());
            first.leave();
        });
        let expected: Vec<u64> = (0..200).flat_map(|_| 0..THREADS).collect();
        assert_eq!(order.into_inner().unwrap(), expected);
    }

    #[test]
    fn a_turn_is_given_up_once_however_often_that_is_said() {
        let turns = Arc::new(Turns::default());
        let mut turn = turns.turn();
        turn.enter();
        turn.pass();
        turn.enter();
        turn.leave();
        turn.leave();
        turns.turn().enter();
    }
}
