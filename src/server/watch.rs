//! Publishes requests to watchers. Publishing never waits: slow watchers miss reports and are told how many.

use crate::engine::decode::{Round, StopReason};
use crate::engine::prompt::{Prompt, Role};
use crate::plural::counted;
use crate::remote::{Report, Said, Watched};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast::{Receiver, Sender};

/// Number of reports buffered for slow watchers.
const KEPT: usize = 1024;
/// Max bytes of a prompt shown to watchers.
const MAX_SHOWN: usize = 16 << 10;

/// The running requests, and a receiver of further reports.
type Subscription = (Vec<(u64, Watched)>, Receiver<Arc<Report>>);

/// The running requests and their watchers.
pub struct Watch {
    /// `None` if watching is disabled.
    sender: Option<Sender<Arc<Report>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Requests that have not ended.
    active: BTreeMap<u64, Watched>,
}

impl Watch {
    pub fn new(allowed: bool) -> Self {
        Self {
            sender: allowed.then(|| Sender::new(KEPT)),
            state: Mutex::default(),
        }
    }

    pub fn is_allowed(&self) -> bool {
        self.sender.is_some()
    }

    /// The running requests, and a receiver of further reports.
    pub fn subscribe(&self) -> Option<Subscription> {
        let sender = self.sender.as_ref()?;
        let state = self.state();
        let active = state.active.iter();
        let active = active.map(|(request, watched)| (*request, watched.clone()));
        Some((active.collect(), sender.subscribe()))
    }

    /// Registers a request; returns its number, unless watching is disabled.
    pub fn begin(&self, watched: Watched) -> Option<u64> {
        let sender = self.sender.as_ref()?;
        let mut state = self.state();
        let request = state.next;
        state.next += 1;
        state.active.insert(request, watched.clone());
        // Under the lock, so that a new watcher sees the request exactly once.
        Self::send(sender, request, || Said::Begun(watched));
        Some(request)
    }

    pub fn round(&self, request: u64, round: &Round) {
        if let Some(sender) = &self.sender {
            Self::send(sender, request, || Said::Round(Box::new(round.clone())));
        }
    }

    pub fn ended(&self, request: u64, reason: &StopReason) {
        self.end(request, || Said::Ended(reason.clone()));
    }

    pub fn failed(&self, request: u64, message: &str) {
        self.end(request, || Said::Failed(message.to_owned()));
    }

    fn end(&self, request: u64, said: impl FnOnce() -> Said) {
        let mut state = self.state();
        if let (Some(_), Some(sender)) = (state.active.remove(&request), &self.sender) {
            Self::send(sender, request, said);
        }
    }

    /// Builds a report only if there are watchers.
    fn send(sender: &Sender<Arc<Report>>, request: u64, said: impl FnOnce() -> Said) {
        if sender.receiver_count() > 0 {
            let said = said();
            // Fails if all watchers have left meanwhile.
            let _ = sender.send(Arc::new(Report::Watched { request, said }));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent after each statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
