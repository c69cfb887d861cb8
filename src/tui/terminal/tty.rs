//! The terminal's modes and escape sequences. They can be restored from anywhere, including signal handlers.

use crossterm::event::{EnableBracketedPaste, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::EnterAlternateScreen;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this program currently owns the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Undoes everything that a frame and [`take`] may have set: synchronized update, mouse capture, bracketed paste, styles,
/// alternate screen, hidden cursor.
#[cfg(any(unix, test))]
const RESTORE: &str = "\x1b[?2026l\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[0m\x1b[?1049l\x1b[?25h";

pub fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Takes over the terminal: raw mode, alternate screen, bracketed paste, and mouse capture if `mouse` is set.
pub fn take(mouse: bool) -> io::Result<()> {
    system::take_modes()?;
    TAKEN.store(true, Ordering::SeqCst);
    enter(mouse)
}

/// Takes over the terminal again after the shell used it while the program was stopped.
pub fn retake(mouse: bool) -> io::Result<()> {
    system::retake_modes()?;
    TAKEN.store(true, Ordering::SeqCst);
    // The shell wrote to the alternate screen. Leave it first, so that the cursor is saved on the main screen.
    system::send_restore();
    enter(mouse)
}

fn enter(mouse: bool) -> io::Result<()> {
    let entered = execute!(Screen, EnterAlternateScreen, EnableBracketedPaste);
    let captured = match mouse {
        true => execute!(Screen, EnableMouseCapture),
        false => Ok(()),
    };
    entered.and(captured).inspect_err(|_| give_back())
}

/// Restores the terminal. Errors are ignored, as nothing can be done about them. Async-signal-safe on Unix.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        system::send_restore();
        system::restore_modes();
    }
}

/// Standard output while this program owns the terminal. Later writes are dropped.
#[derive(Debug, Clone, Copy)]
pub struct Screen;

impl Write for Screen {
    #[expect(clippy::disallowed_methods, reason = "this is the screen")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match is_taken() {
            true => io::stdout().write(bytes),
            false => Ok(bytes.len()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the screen")]
    fn flush(&mut self) -> io::Result<()> {
        match is_taken() {
            true => io::stdout().flush(),
            false => Ok(()),
        }
    }
}

#[cfg(unix)]
mod system {
    use super::super::stderr;
    use super::RESTORE;
    use std::cell::UnsafeCell;
    use std::io;
    use std::mem::MaybeUninit;

    /// The terminal modes before the terminal was taken over.
    struct Saved(UnsafeCell<MaybeUninit<libc::termios>>);

    // SAFETY: only the screen's thread writes it, and only while `TAKEN` is false; others read it only after they see
    // `TAKEN` true, so reads and writes never overlap.
    unsafe impl Sync for Saved {}

    static SAVED: Saved = Saved(UnsafeCell::new(MaybeUninit::zeroed()));

    pub fn take_modes() -> io::Result<()> {
        // SAFETY: `TAKEN` is false, so no other thread accesses SAVED; the pointer is valid for tcgetattr to fill.
        check(|| unsafe { libc::tcgetattr(libc::STDIN_FILENO, SAVED.0.get().cast()) })?;
        retake_modes()?;
        stderr::keep();
        Ok(())
    }

    /// Sets raw mode. In the background, the system stops the program with SIGTTOU until it is in the foreground.
    pub fn retake_modes() -> io::Result<()> {
        let mut raw = saved();
        // SAFETY: cfmakeraw gets a valid pointer to a local copy.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: tcsetattr gets a valid pointer to a local copy.
        check(|| unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const raw) })
    }

    /// Restores the modes, unless in the background, where the terminal belongs to the shell.
    pub fn restore_modes() {
        let modes = saved();
        // SAFETY: all three are async-signal-safe; tcsetattr gets a valid pointer to a local copy.
        unsafe {
            let front = libc::tcgetpgrp(libc::STDIN_FILENO);
            if front < 0 || front == libc::getpgrp() {
                libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const modes);
            }
        }
        stderr::release();
    }

    pub fn send_restore() {
        write_all(libc::STDOUT_FILENO, RESTORE.as_bytes());
    }

    fn saved() -> libc::termios {
        // SAFETY: zero is a valid termios, and no thread writes SAVED while the terminal is taken, see `Saved`.
        unsafe { (*SAVED.0.get()).assume_init() }
    }

    /// Writes all bytes, ignoring errors. Async-signal-safe.
    pub fn write_all(stream: libc::c_int, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // SAFETY: the pointer is valid for `bytes.len()` bytes.
            let count = unsafe { libc::write(stream, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(count) {
                Ok(count) if count > 0 => bytes = &bytes[count.min(bytes.len())..],
                _ => return,
            }
        }
    }

    /// Repeats a call that a signal interrupts.
    fn check(call: impl Fn() -> libc::c_int) -> io::Result<()> {
        loop {
            if call() == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

#[cfg(unix)]
pub use system::write_all;

#[cfg(not(unix))]
mod system {
    use crossterm::cursor::Show;
    use crossterm::event::{DisableBracketedPaste, DisableMouseCapture};
    use crossterm::execute;
    use crossterm::terminal::{
        EndSynchronizedUpdate, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    };
    use std::io;

    pub fn take_modes() -> io::Result<()> {
        enable_raw_mode()
    }

    pub fn retake_modes() -> io::Result<()> {
        disable_raw_mode()?;
        enable_raw_mode()
    }

    pub fn restore_modes() {
        drop(disable_raw_mode());
    }

    #[expect(clippy::disallowed_methods, reason = "this is the screen")]
    pub fn send_restore() {
        drop(execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::Command;
    use crossterm::cursor::Show;
    use crossterm::event::{DisableBracketedPaste, DisableMouseCapture};
    use crossterm::style::{Attribute, SetAttribute};
    use crossterm::terminal::{EndSynchronizedUpdate, LeaveAlternateScreen};

    /// [`RESTORE`] is a constant because a signal handler cannot call crossterm.
    #[test]
    fn the_sequences_match_crossterm() {
        let mut all = String::new();
        EndSynchronizedUpdate.write_ansi(&mut all).unwrap();
        DisableMouseCapture.write_ansi(&mut all).unwrap();
        DisableBracketedPaste.write_ansi(&mut all).unwrap();
        SetAttribute(Attribute::Reset).write_ansi(&mut all).unwrap();
        LeaveAlternateScreen.write_ansi(&mut all).unwrap();
        Show.write_ansi(&mut all).unwrap();
        assert_eq!(all, RESTORE);
    }
}
