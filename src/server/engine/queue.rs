//! The queue of jobs. Many tasks add jobs; one thread takes them in order.

use super::job::Job;
use crate::server::error::ApiError;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// A bounded queue of jobs.
pub struct Queue {
    state: Mutex<State>,
    /// Signalled when a job is added or the queue is closed.
    changed: Condvar,
    /// Signalled when waiting jobs move up.
    moved: watch::Sender<()>,
    limit: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Job)>,
    /// Number of the next job.
    next: u64,
    /// Whether a job is running.
    busy: bool,
    closed: bool,
}

/// A place in the queue. Dropping it removes the job.
pub struct Ticket {
    number: u64,
    queue: Arc<Queue>,
    moved: watch::Receiver<()>,
}

impl Queue {
    /// A queue in which at most `limit` jobs wait.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            moved: watch::Sender::new(()),
            limit,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job.
    ///
    /// # Errors
    /// If the queue is full or closed.
    pub fn push(self: &Arc<Self>, job: Job) -> Result<Ticket, ApiError> {
        let mut state = self.state();
        if state.closed {
            return Err(ApiError::ending());
        }
        // If the engine is idle, the job does not wait.
        if state.waiting.len() >= self.limit + usize::from(!state.busy) {
            return Err(ApiError::queue_full(self.limit));
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, job));
        drop(state);
        self.changed.notify_one();
        Ok(Ticket {
            number,
            queue: self.clone(),
            moved: self.moved.subscribe(),
        })
    }

    /// Waits for the next job; `None` once the queue is closed.
    pub fn pop(&self) -> Option<Job> {
        let mut state = self.state();
        state.busy = false;
        loop {
            if state.closed {
                return None;
            }
            if let Some((_, job)) = state.waiting.pop_front() {
                state.busy = true;
                drop(state);
                self.moved.send_replace(());
                return Some(job);
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes the queue and drops the waiting jobs, which their clients notice.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for (_, job) in waiting {
            let _ = job.updates.send(super::Update::Failed(ApiError::ending()));
        }
        self.changed.notify_all();
    }

    /// Number of waiting jobs, and whether one is running.
    pub fn load(&self) -> (usize, bool) {
        let state = self.state();
        (state.waiting.len(), state.busy)
    }
}

impl Ticket {
    /// Position in the queue, 1 for the next; `None` once the job runs.
    pub fn position(&self) -> Option<usize> {
        let state = self.queue.state();
        let place = state
            .waiting
            .iter()
            .position(|(number, _)| *number == self.number);
        place.map(|ahead| ahead + 1)
    }

    /// Waits until positions have changed.
    pub async fn moved(&mut self) {
        if self.moved.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        let before = state.waiting.len();
        state.waiting.retain(|(number, _)| *number != self.number);
        let left = state.waiting.len() < before;
        drop(state);
        if left {
            self.queue.moved.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn job() -> (Job, UnboundedReceiver<super::super::Update>) {
        let (updates, receiver) = unbounded_channel();
        let job = Job {
            items: Vec::new(),
            updates,
            asked_at: std::time::Instant::now(),
        };
        (job, receiver)
    }

    #[test]
    fn places_move_up_when_others_are_done_or_leave() {
        let queue = Queue::new(3);
        let mut tickets: Vec<Ticket> = (0..3).map(|_| queue.push(job().0).unwrap()).collect();
        let places = |tickets: &[Ticket]| {
            let places = tickets.iter().map(Ticket::position);
            places.collect::<Vec<_>>()
        };
        assert_eq!(places(&tickets), [Some(1), Some(2), Some(3)]);
        assert!(queue.pop().is_some());
        assert_eq!(places(&tickets), [None, Some(1), Some(2)]);
        drop(tickets.remove(1));
        assert_eq!(places(&tickets), [None, Some(1)]);
        assert_eq!(queue.load(), (1, true));
    }

    #[test]
    fn no_more_wait_than_the_limit() {
        let queue = Queue::new(1);
        let _first = queue.push(job().0).unwrap();
        let _second = queue.push(job().0).unwrap();
        let refused = queue.push(job().0).err().unwrap();
        assert_eq!(refused, ApiError::queue_full(1));
        queue.pop().unwrap();
        assert_eq!(queue.push(job().0).err(), Some(ApiError::queue_full(1)));
    }

    #[test]
    fn a_closed_queue_tells_those_who_wait() {
        let queue = Queue::new(4);
        let (job_waiting, mut updates) = job();
        let _ticket = queue.push(job_waiting).unwrap();
        queue.close();
        assert!(matches!(
            updates.try_recv(),
            Ok(super::super::Update::Failed(error)) if error == ApiError::ending()
        ));
        assert!(queue.pop().is_none());
        assert_eq!(queue.push(job().0).err(), Some(ApiError::ending()));
    }
}
