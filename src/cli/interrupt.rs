//! Interruption by the user or the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::{Builder, Runtime};

/// Set once the program is asked to end.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Set by Ctrl-C. If no handler can be installed, the default action stays: the program dies immediately.
    pub fn by_keyboard() -> Self {
        Self::listen(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok())
    }

    /// Set by Ctrl-C, and by the signals that schedulers send before they end a job: SIGTERM and SIGUSR1.
    pub fn by_any_signal() -> Self {
        Self::listen(|runtime| runtime.block_on(any_signal()).is_ok())
    }

    /// Sets the flag whenever `heard`, which waits for the next signal, returns true.
    fn listen(heard: impl Fn(&Runtime) -> bool + Send + 'static) -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = flag.clone();
        std::thread::spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_io().build() else {
                return;
            };
            while heard(&runtime) {
                raised.store(true, Ordering::Relaxed);
            }
        });
        Self(flag)
    }

    /// Clears the flag before the next piece of work.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Waits until the program is interrupted or asked to end. Without handlers, signals kill it directly.
pub fn wait() {
    let runtime = Builder::new_current_thread().enable_io().build();
    let heard = runtime.map(|runtime| runtime.block_on(any_signal()));
    if !matches!(heard, Ok(Ok(()))) {
        loop {
            std::thread::park();
        }
    }
}

#[cfg(unix)]
async fn any_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut user = signal(SignalKind::user_defined1())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
        _ = user.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn any_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
