//! What is written to standard error while the screen is ours: kept, and shown once the terminal is given back. On the
//! screen it would smear the frame and be gone with it, like the last words of an allocation that failed.

use super::tty::write_all;
use std::sync::atomic::{AtomicI32, Ordering};

const NONE: i32 = -1;
/// Most bytes that are shown.
const SHOWN: usize = 64 << 10;

/// The file that holds what is kept.
static FILE: AtomicI32 = AtomicI32::new(NONE);
/// Standard error as it was.
static TERMINAL: AtomicI32 = AtomicI32::new(NONE);

/// From now on standard error is kept, if it goes to a terminal and the system gives a file for it.
pub fn keep() {
    // SAFETY: the calls take numbers alone; `file` is ours.
    unsafe {
        if libc::isatty(libc::STDERR_FILENO) != 1 {
            return;
        }
        let file = match FILE.load(Ordering::SeqCst) {
            NONE => new_file(),
            file => file,
        };
        let terminal = libc::fcntl(libc::STDERR_FILENO, libc::F_DUPFD_CLOEXEC, 3);
        if file == NONE || terminal == NONE {
            return;
        }
        FILE.store(file, Ordering::SeqCst);
        if libc::dup2(file, libc::STDERR_FILENO) != NONE {
            TERMINAL.store(terminal, Ordering::SeqCst);
        }
    }
}

/// Standard error is the terminal again, and shows what was kept. Async-signal-safe.
pub fn release() {
    let terminal = TERMINAL.swap(NONE, Ordering::SeqCst);
    if terminal == NONE {
        return;
    }
    let file = FILE.load(Ordering::SeqCst);
    let mut buffer = [0u8; 1024];
    // SAFETY: all calls are async-signal-safe; `read` fills at most the buffer, which is ours.
    unsafe {
        libc::dup2(terminal, libc::STDERR_FILENO);
        libc::close(terminal);
        libc::lseek(file, 0, libc::SEEK_SET);
        let mut shown = 0;
        while let count @ 1.. = libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) {
            let kept = &mut buffer[..count as usize];
            kept.iter_mut().for_each(harmless);
            write_all(libc::STDERR_FILENO, kept);
            shown += kept.len();
            if shown >= SHOWN {
                break;
            }
        }
        libc::ftruncate(file, 0);
    }
}

/// A signal handler has no tables of characters; what was kept are the runtime's own words, which are ASCII.
fn harmless(byte: &mut u8) {
    if !matches!(byte, b'\n' | b'\t' | b' '..=b'~') {
        *byte = b'?';
    }
}

/// A file without a name, to which every write is appended.
fn new_file() -> i32 {
    use std::os::fd::IntoRawFd;
    let folder = std::env::temp_dir();
    let path = folder.join(format!("skiplens-{}.stderr", std::process::id()));
    let mut options = std::fs::File::options();
    options.read(true).append(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let Ok(file) = options.open(&path) else {
        return NONE;
    };
    let _ = std::fs::remove_file(&path);
    file.into_raw_fd()
}
