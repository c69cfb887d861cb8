//! Delivers signals to the driver.

use super::terminal::Request;
use color_eyre::Result;

/// Waits for signals that concern the screen.
pub struct Signals {
    #[cfg(unix)]
    kinds: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Listens to all relevant signals that are not ignored. The handlers of the terminal record the request; this only
    /// wakes the driver.
    ///
    /// # Errors
    /// If a signal cannot be listened to.
    pub fn new() -> Result<Self> {
        use super::terminal::handlers::{ENDING, is_ignored};
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = ENDING
            .into_iter()
            .chain([libc::SIGTSTP, libc::SIGCONT])
            .filter(|number| !is_ignored(*number))
            .map(|number| signal(SignalKind::from_raw(number)))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { kinds })
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Request {
        use super::terminal::handlers::request;
        loop {
            if let Some(request) = request() {
                return request;
            }
            let any = self.kinds.iter_mut().map(|kind| Box::pin(kind.recv()));
            match any.len() {
                0 => std::future::pending().await,
                _ => futures::future::select_all(any).await,
            };
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub fn new() -> Result<Self> {
        Ok(Self {})
    }

    pub async fn next(&mut self) -> Request {
        drop(tokio::signal::ctrl_c().await);
        Request::End(0)
    }
}
