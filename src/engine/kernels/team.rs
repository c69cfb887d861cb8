//! A team of threads that walks through a step together.
//!
//! A forward pass of a small model has some two hundred phases of a few microseconds each, and every phase needs what
//! the one before it made. Handing each phase to a pool costs more than that, so the members of a team enter a step
//! once and wait for each other by spinning. Between steps they spin for a moment more, in which the next token
//! usually comes, and then sleep.

mod left;

use left::Left;
use std::any::Any;
use std::cell::UnsafeCell;
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Looks at a barrier before a member lets other threads have its core: more threads than cores must not stand still.
const SPINS: usize = 2000;
/// How long a member without work stays awake.
const AWAKE: Duration = Duration::from_micros(200);

/// Threads of the largest team.
pub const MAX_THREADS: usize = 256;

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
        Self {
            start: slice.as_mut_ptr(),
            len: slice.len(),
            kind: PhantomData,
        }
    }

    /// `len` elements from `start`. Panics if they are not there.
    ///
    /// # Safety
    /// The storage is still in place, and no one else writes those elements meanwhile.
    #[inline]
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(
            start <= self.len && len <= self.len - start,
            "outside of the shared slice"
        );
        // SAFETY: inside, and the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}

/// What a team runs.
type Step<'a> = dyn Fn(&Crew) + Sync + 'a;

/// A number with a cache line to itself, so that threads that watch different ones do not disturb each other.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// What the members share.
struct State {
    threads: usize,
    /// The step at hand, written before `steps` grows.
    step: UnsafeCell<Option<*const Step<'static>>>,
    /// Counts steps; a change is the call to work.
    steps: Apart<AtomicUsize>,
    /// Hired members that have not finished the step at hand.
    busy: Apart<AtomicUsize>,
    /// Members at the end of the present phase.
    arrived: Apart<AtomicUsize>,
    /// Counts phases; a change lets the members go on.
    phases: Apart<AtomicUsize>,
    /// What of the present phase no one has taken, of each member's even part.
    left: Box<[Apart<Left>]>,
    failed: AtomicBool,
    /// What the first member to panic panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    quit: AtomicBool,
}

// SAFETY: `step` is written by the team's owner while all members wait, and published by `steps`.
unsafe impl Sync for State {}
// SAFETY: the pointer in `step` is to something Sync.
unsafe impl Send for State {}

/// The threads of the CPU kernels: the one that calls [`Team::run`], and hired ones.
pub struct Team {
    state: Arc<State>,
    hired: Vec<JoinHandle<()>>,
    /// One step at a time.
    running: Mutex<()>,
}

impl Team {
    /// A team of `threads`, the caller among them: at most [`MAX_THREADS`], and fewer where the system
    /// gives no more.
    pub fn new(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        let state = Arc::new(State {
            threads,
            step: UnsafeCell::new(None),
            steps: Apart::default(),
            busy: Apart::default(),
            arrived: Apart::default(),
            // Phase 0 is what `left` holds before the first.
            phases: Apart(AtomicUsize::new(1)),
            left: (0..threads).map(|_| Apart::default()).collect(),
            failed: AtomicBool::new(false),
            panic: Mutex::default(),
            quit: AtomicBool::new(false),
        });
        let hire = |member| {
            let state = state.clone();
            thread::Builder::new()
                .name(format!("kernels-{member}"))
                .spawn(move || state.work(member))
        };
        match (1..threads).map(hire).collect::<Result<Vec<_>, _>>() {
            Ok(hired) => Self {
                state,
                hired,
                running: Mutex::default(),
            },
            Err(_) => Self::new(1),
        }
    }

    pub fn threads(&self) -> usize {
        self.state.threads
    }

    /// Runs `step` on every member; returns when all are done. A panic of one ends the step on all, and goes on here.
    pub fn run(&self, step: &Step) {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &*self.state;
        // SAFETY: no member uses the step after `busy` has come down to 0, which is awaited below; all wait meanwhile.
        unsafe {
            *state.step.get() = Some(std::mem::transmute::<*const Step, *const Step<'static>>(
                step,
            ))
        };
        state.busy.0.store(self.hired.len(), Relaxed);
        state.steps.0.fetch_add(1, Release);
        for member in &self.hired {
            member.thread().unpark();
        }
        state.take_part(0, step);
        wait(|| state.busy.0.load(Acquire) == 0);
        if state.failed.swap(false, Relaxed) {
            state.arrived.0.store(0, Relaxed);
            // What is left there is of no phase to come.
            state.phases.0.fetch_add(1, Relaxed);
            if let Some(panic) = state
                .panic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
            {
                resume_unwind(panic);
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.state.quit.store(true, Relaxed);
        self.state.steps.0.fetch_add(1, Release);
        for member in self.hired.drain(..) {
            member.thread().unpark();
            // A member that panicked outside of a step has nothing left to tell.
            let _ = member.join();
        }
    }
}

/// Cores that this process may use, where two threads of one core count once: they would only share its arithmetic.
pub fn physical_cores() -> usize {
    let logical = thread::available_parallelism().map_or(1, usize::from);
    let siblings = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        std::fs::read_to_string(path).ok()
    };
    let cores: std::collections::BTreeSet<String> = (0..4096).map_while(siblings).collect();
    if cores.is_empty() {
        logical
    } else {
        logical.min(cores.len())
    }
}

/// Waits until `ready`, politely after a while.
fn wait(ready: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if ready() {
            return;
        }
        spin_loop();
    }
    while !ready() {
        thread::yield_now();
    }
}

impl State {
    /// The life of a hired member.
    fn work(&self, member: usize) {
        let mut seen = 0;
        loop {
            self.await_call(seen);
            seen = seen.wrapping_add(1);
            if self.quit.load(Relaxed) {
                return;
            }
            // SAFETY: written before the call, and in place until `busy` comes down.
            if let Some(step) = unsafe { *self.step.get() } {
                self.take_part(member, unsafe { &*step });
            }
            self.busy.0.fetch_sub(1, Release);
        }
    }

    /// Returns once there have been more than `seen` calls.
    fn await_call(&self, seen: usize) {
        let called = || self.steps.0.load(Acquire) != seen;
        let since = Instant::now();
        while since.elapsed() < AWAKE {
            for _ in 0..50 {
                if called() {
                    return;
                }
                spin_loop();
            }
        }
        while !called() {
            thread::park();
        }
    }

    fn take_part(&self, member: usize, step: &Step) {
        let crew = Crew {
            state: self,
            member,
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| step(&crew))) {
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(panic);
            self.failed.store(true, Release);
        }
    }
}

/// Items without their first quarter, and that: at least one item.
fn quarter(items: Range<usize>) -> (Range<usize>, Range<usize>) {
    let end = items.start + (items.len() / 4).max(1);
    (end..items.end, items.start..end)
}

/// A member's view of its team within a step. All members make the same calls in the same order.
pub struct Crew<'a> {
    state: &'a State,
    member: usize,
}

impl Crew<'_> {
    /// Which member this is, below the size of the team.
    pub fn member(&self) -> usize {
        self.member
    }

    /// How many members the team has.
    pub fn threads(&self) -> usize {
        self.state.threads
    }

    /// Shares out `0..n` and waits until the crew has done it all. Each has an even part, in multiples of `grain`, and goes
    /// through it from its start, so that memory is read in long runs; who is done takes from the ends of others' parts, so
    /// a core that is busy with other things does not hold up the others.
    pub fn share(&self, n: usize, grain: usize, mut work: impl FnMut(Range<usize>)) {
        if self.state.threads == 1 {
            return work(0..n);
        }
        let grain = grain * n.div_ceil(grain).div_ceil(left::MOST).max(1);
        let count = n.div_ceil(grain);
        while let Some(part) = self.take(count).or_else(|| self.take_from_others(count)) {
            work(part.start * grain..n.min(part.end * grain));
        }
        self.meet();
    }

    /// The next of this member's part of `0..count`, a quarter of what is left of it.
    fn take(&self, count: usize) -> Option<Range<usize>> {
        self.state.left[self.member].0.change(
            self.phase(),
            self.even_part(self.member, count),
            quarter,
        )
    }

    /// Takes half of what another member has left, keeps it as this member's part, and takes the next of that.
    fn take_from_others(&self, count: usize) -> Option<Range<usize>> {
        let threads = self.state.threads;
        let taken = (1..threads).find_map(|i| {
            let other = (self.member + i) % threads;
            self.state.left[other]
                .0
                .change(self.phase(), self.even_part(other, count), |left| {
                    let start = left.end - left.len().div_ceil(2);
                    (left.start..start, start..left.end)
                })
        })?;
        let (rest, first) = quarter(taken);
        self.state.left[self.member].0.set(self.phase(), rest);
        Some(first)
    }

    fn even_part(&self, member: usize, count: usize) -> Range<usize> {
        let threads = self.state.threads;
        member * count / threads..(member + 1) * count / threads
    }

    /// The present phase, which does not end before this member has met the others.
    fn phase(&self) -> usize {
        self.state.phases.0.load(Relaxed)
    }

    /// Waits until all members are here.
    fn meet(&self) {
        let state = self.state;
        let phase = state.phases.0.load(Relaxed);
        if state.arrived.0.fetch_add(1, AcqRel) + 1 == state.threads {
            state.arrived.0.store(0, Relaxed);
            state.phases.0.store(phase.wrapping_add(1), Release);
            return;
        }
        wait(|| state.phases.0.load(Acquire) != phase || state.failed.load(Relaxed));
        assert!(
            state.phases.0.load(Acquire) != phase,
            "another member of the team panicked"
        );
    }
}

#[cfg(test)]
mod tests;
