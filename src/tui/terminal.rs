//! The terminal: taken over on entry and given back in every case.

#[cfg(unix)]
pub mod handlers;
#[cfg(unix)]
mod stderr;
mod tty;

use color_eyre::Result;
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Size;
use std::io::BufWriter;
use std::sync::Once;
use tty::Screen;

/// Bytes of a frame that are sent in one go.
const BUFFER: usize = 64 * 1024;

type Inner = ratatui::Terminal<CrosstermBackend<BufWriter<Screen>>>;

/// What a signal asks of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix stops programs"))]
pub enum Request {
    /// To end, because of that signal.
    End(i32),
    /// To give the terminal back and stop.
    Stop,
    /// To take the terminal again.
    Continue,
}

/// The terminal while it is ours. Dropping gives it back.
pub struct Terminal {
    inner: Inner,
    mouse: bool,
}

impl Terminal {
    /// Take the terminal over: raw mode, alternate screen, bracketed paste, and the mouse if wanted.
    pub fn enter(mouse: bool) -> Result<Self> {
        report_panics();
        #[cfg(unix)]
        handlers::install();
        tty::take(mouse)?;
        // From here on dropping restores.
        let inner = blank().inspect_err(|_| tty::give_back())?;
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
            true => execute!(Screen, EnableMouseCapture)?,
            false => execute!(Screen, DisableMouseCapture)?,
        }
        Ok(())
    }

    /// Put a text on the clipboard.
    pub fn copy(&mut self, text: String) -> Result<()> {
        Ok(execute!(Screen, CopyToClipboard::to_clipboard_from(text))?)
    }

    /// Give the terminal back while `work` runs, and take it again.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        tty::give_back();
        #[cfg(unix)]
        let done = handlers::lent(work);
        #[cfg(not(unix))]
        let done = work();
        tty::take(self.mouse)?;
        // What was on screen is gone. Clearing would ask the terminal for its cursor, and not every one answers.
        self.inner = blank()?;
        Ok(done)
    }

    /// Take the terminal again after the program was stopped without being asked.
    pub fn retake(&mut self) -> Result<()> {
        tty::retake(self.mouse)?;
        self.inner = blank()?;
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        tty::give_back();
    }
}

/// A screen of which nothing is drawn yet.
fn blank() -> std::io::Result<Inner> {
    ratatui::Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(
        BUFFER, Screen,
    )))
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
                tty::give_back();
                report(panic);
            } else if !tty::is_taken() {
                report(panic);
            }
        }));
    });
}
