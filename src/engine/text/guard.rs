//! Runs libraries on untrusted files: a panic becomes an error, and slow work is abandoned.

use crate::engine::{Error, Result};
use crate::error_text;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

thread_local! {
    /// Whether a panic of this thread becomes an error and must not be printed.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`. A panic is not printed; it becomes an error that names the operation, `what`.
pub fn catch<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    keep_expected_panics_quiet();
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.unwrap_or_else(|panic| {
        let message = message(&*panic);
        Err(Error::Tokenizer(format!("{what} failed: {message}")))
    })
}

/// Runs `work` on a separate thread for at most `limit`; `None` if it takes longer. The thread then runs on, and its
/// result is discarded.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Option<Result<T>> {
    let (sender, receiver) = sync_channel(1);
    let spawned = std::thread::Builder::new()
        .name("tokenizer".into())
        .spawn(move || drop(sender.send(work())));
    if let Err(e) = spawned {
        return Some(Err(Error::Tokenizer(format!(
            "cannot start a thread for encoding: {}",
            error_text::io(&e)
        ))));
    }
    match receiver.recv_timeout(limit) {
        Ok(done) => Some(done),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Err(Error::Tokenizer(
            "encoding ended without a result".into(),
        ))),
    }
}

fn keep_expected_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                report(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("an unknown error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_errors() {
        let failed = catch("reading", || -> Result<()> { panic!("index {}", 3) });
        assert_eq!(
            failed.unwrap_err().to_string(),
            "tokenizer: reading failed: index 3"
        );
        assert_eq!(catch("reading", || Ok(1)).unwrap(), 1);
    }

    #[test]
    fn slow_work_is_abandoned() {
        let soon = within(Duration::from_secs(60), || Ok(1));
        assert_eq!(soon.unwrap().unwrap(), 1);
        let never = within(Duration::from_millis(20), || {
            std::thread::sleep(Duration::from_secs(5));
            Ok(())
        });
        assert!(never.is_none());
        let lost = within(Duration::from_secs(60), || -> Result<()> {
            catch("encoding", || panic!("lost"))
        });
        assert!(lost.unwrap().is_err());
    }
}
