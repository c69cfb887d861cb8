//! Searches the saved sessions on another thread.

use crate::app::{Listed, Msg};
use crate::transcript::{Hit, Store, TRASH_KEEPS, local_minutes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Interval at which a running search reports its hits.
const REPORT_EVERY: Duration = Duration::from_millis(150);

/// Removes old sessions from the trash, on another thread.
pub fn empty_old_trash(store: Store) {
    std::thread::spawn(move || store.empty_trash(TRASH_KEEPS));
}

/// Runs each search on its own thread. A new search cancels the previous one.
pub struct SessionSearch {
    answers: UnboundedSender<Msg>,
    newest: Arc<AtomicU64>,
}

impl SessionSearch {
    pub fn new(answers: UnboundedSender<Msg>) -> Self {
        Self {
            answers,
            newest: Arc::default(),
        }
    }

    /// Searches for sessions that contain `search`; `own` is the file of the current session.
    pub fn search(&self, store: Store, own: PathBuf, search_id: u64, search: String) {
        self.newest.store(search_id, Ordering::Relaxed);
        let (answers, newest) = (self.answers.clone(), self.newest.clone());
        std::thread::spawn(move || {
            let outdated = || newest.load(Ordering::Relaxed) != search_id;
            let report = |listed: &[Listed], done| {
                drop(answers.send(Msg::Sessions {
                    search_id,
                    listed: listed.to_vec(),
                    done,
                }));
            };
            if let Err(fault) = find(&store, &own, &search, &outdated, &report) {
                drop(answers.send(Msg::EffectFailed(format!(
                    "the sessions cannot be listed: {fault}"
                ))));
                report(&[], true);
            }
        });
    }
}

fn find(
    store: &Store,
    own: &Path,
    search: &str,
    outdated: &dyn Fn() -> bool,
    report: &dyn Fn(&[Listed], bool),
) -> crate::transcript::Result<()> {
    let (mut listed, mut reported) = (Vec::new(), Instant::now());
    for hit in store.search(search)?.take_while(|_| !outdated()) {
        listed.push(entry(hit, own));
        if reported.elapsed() >= REPORT_EVERY {
            report(&listed, false);
            reported = Instant::now();
        }
    }
    report(&listed, true);
    Ok(())
}

fn entry(hit: Hit, own: &Path) -> Listed {
    let Hit { summary, excerpt } = hit;
    let begun = if summary.created_ms == 0 {
        String::new()
    } else {
        local_minutes(summary.created_ms)
    };
    Listed {
        own: summary.path == own,
        begun,
        summary,
        excerpt,
    }
}
