//! The terminal: taken over on entry and given back in every case.

use color_eyre::Result;
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;
use std::io::{BufWriter, Stdout, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Bytes of a frame that are sent in one go.
const BUFFER: usize = 64 * 1024;

type Inner = ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// The terminal while it is ours. Dropping gives it back.
pub struct Terminal {
    inner: Inner,
    mouse: bool,
}

impl Terminal {
    /// Take the terminal over: raw mode, alternate screen, bracketed paste, and the mouse if wanted.
    pub fn enter(mouse: bool) -> Result<Self> {
        report_panics();
        take(mouse)?;
        // From here on dropping restores.
        let inner = blank().inspect_err(|_| give_back())?;
        Ok(Self { inner, mouse })
    }

    /// Draw one frame in one go.
    pub fn draw<T>(&mut self, render: impl FnOnce(&mut Frame<'_>) -> T) -> Result<T> {
        // Sent at once: should `render` panic, nothing must be left in the buffer to follow the terminal's restoration.
        execute!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        let mut drawn = None;
        let result = self
            .inner
            .draw(|frame| drawn = Some(render(frame)))
            .map(drop);
        execute!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        result?;
        drawn.ok_or_else(|| color_eyre::eyre::eyre!("the terminal drew no frame"))
    }

    /// Columns and rows.
    pub fn size(&self) -> Result<Size> {
        Ok(self.inner.size()?)
    }

    /// Capture the mouse, or leave it to the terminal.
    pub fn set_mouse(&mut self, mouse: bool) -> Result<()> {
        self.mouse = mouse;
        match mouse {
            true => execute!(stdout(), EnableMouseCapture)?,
            false => execute!(stdout(), DisableMouseCapture)?,
        }
        Ok(())
    }

    /// Give the terminal back while `work` runs, and take it again.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        give_back();
        let done = work();
        take(self.mouse)?;
        // What was on screen is gone. Clearing would ask the terminal for its cursor, and not every one answers.
        self.inner = blank()?;
        Ok(done)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// A screen of which nothing is drawn yet.
fn blank() -> std::io::Result<Inner> {
    ratatui::Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(
        BUFFER,
        stdout(),
    )))
}

fn take(mouse: bool) -> Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let entered = execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste);
    let captured = if mouse {
        execute!(stdout(), EnableMouseCapture)
    } else {
        Ok(())
    };
    entered.and(captured).inspect_err(|_| give_back())?;
    Ok(())
}

/// Restore the terminal as it was. Errors leave nothing better to do.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        drop(execute!(
            stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        ));
        drop(disable_raw_mode());
    }
}

/// Have waiting input announced once more. crossterm learns of a new size and of keys from one edge-triggered poll, and
/// when both come at once, it forgets the keys until the next one. To set the terminal's modes, to what they are, wakes
/// whoever waits for it.
#[cfg(unix)]
pub fn announce_input() {
    // SAFETY: the modes are plain data, written before they are read.
    unsafe {
        let mut modes = std::mem::zeroed();
        if libc::tcgetattr(libc::STDIN_FILENO, &raw mut modes) == 0 {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const modes);
        }
    }
}

#[cfg(not(unix))]
pub fn announce_input() {}

/// A panic of the screen's thread restores the terminal before it is reported. One of another thread is that thread's
/// to report; printed here, it would only smear the screen.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let screen = std::thread::current().id();
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() == screen {
                give_back();
                report(panic);
            } else if !TAKEN.load(Ordering::SeqCst) {
                report(panic);
            }
        }));
    });
}

/// The signals that end the program.
pub struct Signals {
    #[cfg(unix)]
    kinds: [tokio::signal::unix::Signal; 3],
}

impl Signals {
    #[cfg(unix)]
    pub fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            SignalKind::terminate(),
            SignalKind::hangup(),
            SignalKind::interrupt(),
        ];
        let [terminate, hangup, interrupt] = kinds.map(signal);
        Ok(Self {
            kinds: [terminate?, hangup?, interrupt?],
        })
    }

    /// Wait for one of them.
    #[cfg(unix)]
    pub async fn stop(&mut self) {
        let [terminate, hangup, interrupt] = &mut self.kinds;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub fn new() -> Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub async fn stop(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
