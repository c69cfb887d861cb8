//! The thread pool of the CPU kernels. Its workers run a forward pass together.
//!
//! A forward pass of a small model has about two hundred phases of a few microseconds each, and every phase needs the
//! results of the one before. Dispatching each phase to a general-purpose pool would cost more than that, so the
//! workers enter a job once, divide its phases among themselves, and spin at the barriers in between. After a job they
//! keep spinning for a moment, because the next token usually follows, and then sleep.

mod handoff;
mod phases;
mod sync;
#[cfg(test)]
mod tests;
mod work_range;

use handoff::Handoff;
use phases::Phases;
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use sync::wait_until;

/// How long a worker without a job spins before it sleeps.
const SPIN_TIME: Duration = Duration::from_micros(200);

/// Max number of threads of a pool.
pub const MAX_THREADS: usize = 256;

/// The job of a pool.
type Job<'a> = dyn Fn(&Worker) + Sync + 'a;

/// A job with its lifetime erased; [`ThreadPool::run`] guarantees that it lives long enough.
#[derive(Clone, Copy)]
struct JobPointer(*const Job<'static>);

// SAFETY: the job is `Sync`, so other threads may call it.
unsafe impl Send for JobPointer {}

/// State shared by the threads.
struct State {
    handoff: Handoff<JobPointer>,
    phases: Phases,
    /// The payload of the first worker that panicked.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A pool of threads: the one that calls [`ThreadPool::run`], and spawned ones.
pub struct ThreadPool {
    state: Arc<State>,
    workers: Vec<JoinHandle<()>>,
    /// Held during a job, so that there is only one at a time.
    running: Mutex<()>,
}

impl ThreadPool {
    /// A pool of `threads` threads including the caller's, at most [`MAX_THREADS`]; a pool of one if threads cannot be
    /// spawned.
    pub fn new(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        let state = Arc::new(State {
            handoff: Handoff::new(),
            phases: Phases::new(threads),
            panic: Mutex::default(),
        });
        let spawn = |index| {
            let state = state.clone();
            thread::Builder::new()
                .name(format!("kernels-{index}"))
                .spawn(move || state.work(index))
        };
        let mut pool = Self {
            state: state.clone(),
            workers: Vec::new(),
            running: Mutex::default(),
        };
        for index in 1..threads {
            match spawn(index) {
                Ok(worker) => pool.workers.push(worker),
                Err(_) => return Self::new(1),
            }
        }
        pool
    }

    /// Number of threads, including the caller's.
    pub fn threads(&self) -> usize {
        self.state.phases.threads()
    }

    /// Runs `job` on every thread and returns when all are done. If one panics, the job ends on all threads, and the panic
    /// resumes here.
    pub fn run(&self, job: &Job) {
        let _running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &*self.state;
        // SAFETY: this only extends the lifetime. No worker uses the job after `is_finished`, which is awaited below before
        // `job` ends; `take_part` does not unwind.
        let pointer =
            JobPointer(unsafe { std::mem::transmute::<*const Job, *const Job<'static>>(job) });
        // SAFETY: the last call waited until no worker was busy, and the lock excludes other callers.
        unsafe { state.handoff.post(pointer, self.workers.len()) };
        for worker in &self.workers {
            worker.thread().unpark();
        }
        state.take_part(0, job);
        wait_until(|| state.handoff.is_finished());
        if state.phases.reset() {
            let panic = state
                .panic
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(panic) = panic {
                resume_unwind(panic);
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.state.handoff.quit();
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // Panics of jobs are caught, so there is nothing to report here.
            let _ = worker.join();
        }
    }
}

/// Number of physical cores that this process may use. Hyper-threads of one core would only share its arithmetic units.
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

impl State {
    /// The main loop of a spawned worker.
    fn work(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.wait_for_job(seen);
            seen = seen.wrapping_add(1);
            let Some(job) = self.handoff.take() else {
                return;
            };
            // SAFETY: `run` keeps the job alive until this worker has called `finish`.
            self.take_part(index, unsafe { &*job.0 });
            self.handoff.finish();
        }
    }

    /// Returns once more than `seen` jobs have been posted.
    fn wait_for_job(&self, seen: usize) {
        let since = Instant::now();
        while since.elapsed() < SPIN_TIME {
            for _ in 0..50 {
                if self.handoff.is_posted(seen) {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        while !self.handoff.is_posted(seen) {
            thread::park();
        }
    }

    /// Runs a job as worker `index`. A panic is stored, not propagated.
    fn take_part(&self, index: usize, job: &Job) {
        let worker = Worker {
            phases: &self.phases,
            index,
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job(&worker))) {
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(panic);
            self.phases.fail();
        }
    }
}

/// A thread's view of its pool within a job. All workers must make the same calls in the same order.
pub struct Worker<'a> {
    phases: &'a Phases,
    index: usize,
}

impl Worker<'_> {
    /// Index of this worker, below the number of threads.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Number of threads of the pool.
    pub fn threads(&self) -> usize {
        self.phases.threads()
    }

    /// Divides `0..n` among the workers, in multiples of `grain`, and waits until all of it is done.
    pub fn parallel_for(&self, n: usize, grain: usize, work: impl FnMut(Range<usize>)) {
        self.phases.parallel_for(self.index, n, grain, work);
    }
}
