//! Publishes requests to watchers. Publishing never waits: slow watchers miss reports and are told how many.

use crate::engine::decode::{Round, StopReason};
use crate::engine::prompt::{Prompt, Role};
use crate::plural::counted;
use crate::remote::{Report, Said, Watched};
use axum::extract::ws::Utf8Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Max reports kept for slow watchers, and their max bytes.
const MAX_REPORTS: usize = 1024;
const MAX_BYTES: usize = 8 << 20;
/// Max bytes of a prompt shown to watchers.
const MAX_SHOWN: usize = 16 << 10;

/// The running requests and their watchers.
pub struct Watch {
    allowed: bool,
    /// The number of the next request.
    next: AtomicU64,
    /// Wakes watchers when a report is published.
    published: Notify,
    /// Held only briefly: frames are serialised before locking.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests that have not ended.
    active: BTreeMap<u64, Watched>,
    backlog: Backlog,
}

/// Reports that not all watchers have taken, as frames.
#[derive(Default)]
struct Backlog {
    frames: VecDeque<Utf8Bytes>,
    /// Bytes of the frames.
    bytes: usize,
    /// The number of the first frame.
    first: u64,
    /// For each watcher the number of its next report.
    cursors: BTreeMap<u64, u64>,
    next_watcher: u64,
}

/// A watcher's place among the reports.
pub struct Watcher {
    watch: Arc<Watch>,
    id: u64,
}

/// What a watcher gets next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A report as a frame.
    Frame(Utf8Bytes),
    /// It was too slow: the number of reports that it missed, and the requests that are running now.
    Missed {
        reports: u64,
        open: Vec<(u64, Watched)>,
    },
}

impl Watch {
    pub fn new(allowed: bool) -> Self {
        Self {
            allowed,
            next: AtomicU64::new(0),
            published: Notify::new(),
            state: Mutex::default(),
        }
    }

    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The running requests, and a watcher of further reports; `None` if watching is disabled.
    pub fn subscribe(self: &Arc<Self>) -> Option<(Vec<(u64, Watched)>, Watcher)> {
        if !self.allowed {
            return None;
        }
        let mut state = self.state();
        let watcher = Watcher {
            watch: self.clone(),
            id: state.backlog.join(),
        };
        Some((state.running(), watcher))
    }

    /// Registers a request; returns its number, unless watching is disabled.
    pub fn begin(&self, watched: Watched) -> Option<u64> {
        if !self.allowed {
            return None;
        }
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        // Whether or not there are watchers: one may join before the lock is taken.
        let frame = frame(request, Said::Begun(watched.clone()));
        let mut state = self.state();
        // In one step, so that a new watcher sees the request exactly once.
        state.active.insert(request, watched);
        self.publish(state, frame);
        Some(request)
    }

    pub fn round(&self, request: u64, round: &Round) {
        // A watcher that joins now sees the request from the next round on.
        if self.state().backlog.has_watchers() {
            let frame = frame(request, Said::Round(Box::new(round.clone())));
            self.publish(self.state(), frame);
        }
    }

    pub fn ended(&self, request: u64, reason: &StopReason) {
        self.end(request, Said::Ended(reason.clone()));
    }

    pub fn failed(&self, request: u64, message: &str) {
        self.end(request, Said::Failed(message.to_owned()));
    }

    fn end(&self, request: u64, said: Said) {
        let frame = frame(request, said);
        let mut state = self.state();
        if state.active.remove(&request).is_some() {
            self.publish(state, frame);
        }
    }

    /// Adds a frame for the watchers, if there are any, and wakes them.
    fn publish(&self, mut state: MutexGuard<'_, State>, frame: Option<Utf8Bytes>) {
        if let Some(frame) = frame.filter(|_| state.backlog.has_watchers()) {
            state.backlog.push(frame, MAX_REPORTS, MAX_BYTES);
            drop(state);
            self.published.notify_waiters();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A report as a frame.
fn frame(request: u64, said: Said) -> Option<Utf8Bytes> {
    match serde_json::to_string(&Report::Watched { request, said }) {
        Ok(frame) => Some(frame.into()),
        Err(error) => {
            tracing::error!("a report cannot be written: {error}");
            None
        }
    }
}

impl State {
    fn running(&self) -> Vec<(u64, Watched)> {
        let active = self.active.iter();
        let active = active.map(|(request, watched)| (*request, watched.clone()));
        active.collect()
    }
}

impl Backlog {
    /// The number of the next report.
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn has_watchers(&self) -> bool {
        !self.cursors.is_empty()
    }

    /// Adds a watcher of the reports from now on.
    fn join(&mut self) -> u64 {
        let id = self.next_watcher;
        self.next_watcher += 1;
        self.cursors.insert(id, self.end());
        id
    }

    fn leave(&mut self, id: u64) {
        self.cursors.remove(&id);
        self.release();
    }

    /// Adds a report, and drops the oldest ones beyond the limits.
    fn push(&mut self, frame: Utf8Bytes, max_reports: usize, max_bytes: usize) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.frames.len() > max_reports || self.bytes > max_bytes {
            self.drop_first();
        }
    }

    /// The watcher's next report; `Err` with the number of reports up to now if that one was dropped, which skips them
    /// all, and `None` if there is none yet.
    fn take(&mut self, id: u64) -> Option<Result<Utf8Bytes, u64>> {
        let end = self.end();
        let cursor = self.cursors.get_mut(&id)?;
        let taken = match cursor.checked_sub(self.first) {
            None => {
                let missed = end - *cursor;
                *cursor = end;
                Err(missed)
            }
            Some(at) => {
                let frame = self.frames.get(usize::try_from(at).ok()?)?.clone();
                *cursor += 1;
                Ok(frame)
            }
        };
        self.release();
        Some(taken)
    }

    /// Drops reports that all watchers have taken.
    fn release(&mut self) {
        let wanted = self.cursors.values().min().copied();
        while !self.frames.is_empty() && wanted.is_none_or(|wanted| self.first < wanted) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.len();
            self.first += 1;
        }
    }
}

impl Watcher {
    /// Waits for the next report. Cancel safe.
    pub async fn next(&mut self) -> Next {
        loop {
            // Before the look at the backlog, so that a report published in between is not missed.
            let published = self.watch.published.notified();
            if let Some(next) = self.take() {
                return next;
            }
            published.await;
        }
    }

    /// The next report, if there is one yet.
    fn take(&self) -> Option<Next> {
        let mut state = self.watch.state();
        Some(match state.backlog.take(self.id)? {
            Ok(frame) => Next::Frame(frame),
            // What was skipped is older than the state of the requests.
            Err(reports) => Next::Missed {
                reports,
                open: state.running(),
            },
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watch.state().backlog.leave(self.id);
    }
}

/// The part of a prompt shown to watchers: the last user message of a conversation, or the text. Also whether it is a
/// conversation.
pub fn shown(prompt: &Prompt) -> (String, bool) {
    let (text, chat) = whole(prompt);
    (cut(text), chat)
}

/// The first [`MAX_SHOWN`] bytes, so that reports about long prompts take little memory.
pub fn cut(mut text: String) -> String {
    if text.len() > MAX_SHOWN {
        let end = (0..=MAX_SHOWN).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

fn whole(prompt: &Prompt) -> (String, bool) {
    match prompt {
        Prompt::Text(text) => (text.clone(), false),
        Prompt::Tokens(ids) => (format!("({})", counted(ids.len(), "token")), false),
        Prompt::Chat(messages) => {
            let said = messages
                .iter()
                .rev()
                .find(|message| message.role == Role::User);
            let said = said.or(messages.last());
            (
                said.map(|message| message.content.clone())
                    .unwrap_or_default(),
                true,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An operation on a backlog.
    #[derive(Debug, Clone)]
    enum Step {
        Join,
        Leave(usize),
        /// A report of this many bytes.
        Push(usize),
        Take(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            1 => Just(Step::Join),
            1 => (0usize..4).prop_map(Step::Leave),
            8 => (0usize..40).prop_map(Step::Push),
            6 => (0usize..4).prop_map(Step::Take),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Every watcher gets each report since it joined once and in order, or is told that it missed it, and what is
        /// kept stays within both limits.
        #[test]
        fn reports_are_taken_or_counted_as_missed(steps in steps()) {
            const LIMITS: (usize, usize) = (8, 100);
            let mut backlog = Backlog::default();
            // Each watcher, and the number of its next report.
            let mut watchers: Vec<(u64, u64)> = Vec::new();
            let (mut pushed, mut sizes) = (0u64, Vec::new());
            for step in steps {
                match step {
                    Step::Join => watchers.push((backlog.join(), pushed)),
                    Step::Leave(at) if at < watchers.len() => backlog.leave(watchers.remove(at).0),
                    // Without watchers nothing is published.
                    Step::Push(bytes) if !watchers.is_empty() => {
                        let frame = format!("{pushed}{}", " ".repeat(bytes));
                        sizes.push(frame.len());
                        backlog.push(frame.into(), LIMITS.0, LIMITS.1);
                        pushed += 1;
                    }
                    Step::Take(at) if at < watchers.len() => {
                        let (id, next) = &mut watchers[at];
                        match backlog.take(*id) {
                            Some(Ok(frame)) => {
                                prop_assert_eq!(frame.trim(), next.to_string());
                                *next += 1;
                            }
                            Some(Err(missed)) => {
                                prop_assert!(missed > 0);
                                *next += missed;
                                prop_assert_eq!(*next, pushed);
                            }
                            None => prop_assert_eq!(*next, pushed),
                        }
                    }
                    _ => {}
                }
                let kept = backlog.frames.len();
                prop_assert!(kept <= LIMITS.0 && backlog.bytes <= LIMITS.1);
                let bytes: usize = sizes[sizes.len() - kept..].iter().sum();
                prop_assert_eq!(backlog.bytes, bytes);
                // Reports that all watchers have taken are freed.
                let oldest = watchers.iter().map(|(_, next)| *next).min();
                prop_assert!(kept as u64 <= pushed - oldest.unwrap_or(pushed));
            }
        }
    }
}
