//! The terminal's modes and sequences: taken, and given back from wherever the program is, a signal handler included.

use crossterm::event::{EnableBracketedPaste, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::EnterAlternateScreen;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Undoes whatever a frame and [`take`] may have set: the synchronized update, the mouse, bracketed paste, styles, the
/// alternate screen, the hidden cursor.
#[cfg(any(unix, test))]
const RESTORE: &str = "\x1b[?2026l\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[0m\x1b[?1049l\x1b[?25h";

pub fn is_taken() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

/// Takes the terminal over: raw mode, alternate screen, bracketed paste, and the mouse if wanted.
pub fn take(mouse: bool) -> io::Result<()> {
    system::take_modes()?;
    TAKEN.store(true, Ordering::SeqCst);
    enter(mouse)
}

/// Takes it again after somebody else had it without being asked: the shell, while the program was stopped.
pub fn retake(mouse: bool) -> io::Result<()> {
    system::retake_modes()?;
    TAKEN.store(true, Ordering::SeqCst);
    // What the shell wrote went to the alternate screen. To leave that first has the cursor saved where it belongs.
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

/// Gives the terminal back as it was. Errors leave nothing better to do. On Unix it is async-signal-safe.
pub fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        system::send_restore();
        system::restore_modes();
    }
}

/// Standard output for as long as the terminal is ours: what a frame still sends after that is dropped.
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

    /// Modes as they were before the terminal was taken.
    struct Saved(UnsafeCell<MaybeUninit<libc::termios>>);

    // SAFETY: it is written by the thread of the screen alone, while the terminal is not taken, and read by whoever
    // finds it taken.
    unsafe impl Sync for Saved {}

    static SAVED: Saved = Saved(UnsafeCell::new(MaybeUninit::zeroed()));

    pub fn take_modes() -> io::Result<()> {
        // SAFETY: the terminal is not taken, so that nobody else uses SAVED; tcgetattr fills it.
        check(|| unsafe { libc::tcgetattr(libc::STDIN_FILENO, SAVED.0.get().cast()) })?;
        retake_modes()?;
        stderr::keep();
        Ok(())
    }

    /// Sets raw mode. In the background this stops the program, as the system does with whoever reaches for a terminal
    /// that is not his, until the shell brings it to the front.
    pub fn retake_modes() -> io::Result<()> {
        let mut raw = saved();
        // SAFETY: cfmakeraw changes the copy alone.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: tcsetattr reads the copy.
        check(|| unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const raw) })
    }

    /// The shell's modes are its own: behind its back, in the background, they stay.
    pub fn restore_modes() {
        let modes = saved();
        // SAFETY: all three are async-signal-safe; tcsetattr reads the copy.
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
        // SAFETY: zeroed memory is a termios, and tcgetattr fills it before the terminal is taken.
        unsafe { (*SAVED.0.get()).assume_init() }
    }

    /// Async-signal-safe, and tolerant of streams that take no more.
    pub fn write_all(stream: libc::c_int, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // SAFETY: write reads that many bytes of the slice.
            let count = unsafe { libc::write(stream, bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(count) {
                Ok(count) if count > 0 => bytes = &bytes[count.min(bytes.len())..],
                _ => return,
            }
        }
    }

    /// Calls again while a signal interrupts it.
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

    /// A signal handler cannot ask crossterm for them.
    #[test]
    fn the_sequences_are_crossterms() {
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
