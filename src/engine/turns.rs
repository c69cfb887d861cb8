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

    fn serving(&self) -> MutexGuard<'_, u64> {
        // A poisoned lock still holds a consistent number.
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits for the turn; no effect if the thread has it.
    pub fn enter(&mut self) {
        if self.number.is_some() {
            return;
        }
        // Relaxed: the number only orders threads; the lock orders memory.
        let number = self.turns.next.fetch_add(1, Ordering::Relaxed);
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
            self.leave();
            self.enter();
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
    use std::sync::atomic::AtomicUsize;

    /// Threads alternate, and never two compute at once.
    #[test]
    fn one_computes_at_a_time_and_all_get_on() {
        let turns = Arc::new(Turns::default());
        let (inside, last) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for name in 0..3 {
                let (turns, inside, last) = (turns.clone(), &inside, &last);
                scope.spawn(move || {
                    let mut turn = turns.turn();
                    turn.enter();
                    for _ in 0..200 {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        last.lock().unwrap().push(name);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        turn.pass();
                    }
                });
            }
        });
        let last = last.into_inner().unwrap();
        assert_eq!(last.len(), 600);
        let mut turn = turns.turn();
        turn.enter();
        turn.pass();
        turn.enter();
        turn.leave();
        turn.leave();
        turns.turn().enter();
    }
}
