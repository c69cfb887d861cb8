//! The terminal: taken over on entry and restored in all cases.

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

/// Bytes of a frame sent per write.
const BUFFER: usize = 64 * 1024;

type Inner = ratatui::Terminal<CrosstermBackend<BufWriter<Screen>>>;

/// A request of a signal to the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code, reason = "only Unix stops programs"))]
pub enum Request {
    /// Exit because of this signal.
    End(i32),
    /// Restore the terminal and stop.
    Stop,
    /// Take over the terminal again.
    Continue,
}

/// The terminal while this program owns it. Dropping restores it.
pub struct Terminal {
    inner: Inner,
    mouse: bool,
}

impl Terminal {
    /// Takes over the terminal: raw mode, alternate screen, bracketed paste, and mouse capture if `mouse` is set.
    ///
    /// # Errors
    /// If the terminal cannot be set up; it is then restored.
    pub fn enter(mouse: bool) -> Result<Self> {
        report_panics();
        #[cfg(unix)]
        handlers::install();
        tty::take(mouse)?;
        // From here on, dropping restores the terminal.
        let inner = blank().inspect_err(|_| tty::give_back())?;
        Ok(Self { inner, mouse })
    }

    /// Draws one frame as a synchronized update.
    ///
    /// # Errors
    /// If writing to the terminal fails.
    pub fn draw<T>(&mut self, render: impl FnOnce(&mut Frame<'_>) -> T) -> Result<T> {
        // Flushed at once: if `render` panics, nothing buffered may follow the restored terminal.
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
    ///
    /// # Errors
    /// If the terminal does not report its size.
    pub fn size(&self) -> Result<Size> {
        Ok(self.inner.size()?)
    }

    /// Captures the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// If writing to the terminal fails.
    pub fn set_mouse(&mut self, mouse: bool) -> Result<()> {
        self.mouse = mouse;
        match mouse {
            true => execute!(Screen, EnableMouseCapture)?,
            false => execute!(Screen, DisableMouseCapture)?,
        }
        Ok(())
    }

    /// Copies a text to the clipboard.
    ///
    /// # Errors
    /// If writing to the terminal fails.
    pub fn copy(&mut self, text: String) -> Result<()> {
        Ok(execute!(Screen, CopyToClipboard::to_clipboard_from(text))?)
    }

    /// Restores the terminal while `work` runs, then takes it over again.
    ///
    /// # Errors
    /// If the terminal cannot be taken over again.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        tty::give_back();
        #[cfg(unix)]
        let done = handlers::lent(work);
        #[cfg(not(unix))]
        let done = work();
        tty::take(self.mouse)?;
        // The screen content is gone. Clearing would query the cursor position, which not every terminal answers.
        self.inner = blank()?;
        Ok(done)
    }

    /// Takes over the terminal again after the program was stopped without notice.
    ///
    /// # Errors
    /// If the terminal cannot be set up.
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

/// A terminal with nothing drawn yet.
fn blank() -> std::io::Result<Inner> {
    ratatui::Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(
        BUFFER, Screen,
    )))
}

/// Makes the terminal signal pending input again. crossterm learns of a resize and of keys from one edge-triggered poll,
/// and if both arrive together, the keys stay unread until the next event. Setting the terminal's modes to their current
/// values wakes every waiter.
#[cfg(unix)]
pub fn announce_input() {
    // SAFETY: `modes` is plain data for which zero is valid; `tcgetattr` and `tcsetattr` get valid pointers to it.
    unsafe {
        let mut modes = std::mem::zeroed();
        if libc::tcgetattr(libc::STDIN_FILENO, &raw mut modes) == 0 {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const modes);
        }
    }
}

#[cfg(not(unix))]
pub fn announce_input() {}

/// Installs a panic hook that restores the terminal before it reports a panic of this thread. Panics of other threads
/// are not printed while the screen is active, as that would corrupt it; their owners report them.
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
