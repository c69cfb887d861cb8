//! Buffers standard error while the screen is active and prints it once the terminal is restored. On the screen, output
//! such as the message of a failed allocation would corrupt the frame and vanish with it.

use super::tty::write_all;
use std::sync::atomic::{AtomicI32, Ordering};

const NONE: i32 = -1;
/// Max bytes printed.
const MAX_BYTES: usize = 64 << 10;

/// The buffer file.
static FILE: AtomicI32 = AtomicI32::new(NONE);
/// The original standard error.
static TERMINAL: AtomicI32 = AtomicI32::new(NONE);

/// Starts buffering standard error, if it is a terminal and a file can be created.
pub fn keep() {
    // SAFETY: the calls take no pointers, and `file` and `terminal` are descriptors that this module owns.
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

/// Restores standard error and prints the buffered output. Async-signal-safe.
pub fn release() {
    let terminal = TERMINAL.swap(NONE, Ordering::SeqCst);
    if terminal == NONE {
        return;
    }
    let file = FILE.load(Ordering::SeqCst);
    let mut buffer = [0u8; 1024];
    // SAFETY: all calls are async-signal-safe; `read` writes at most `buffer.len()` bytes into `buffer`.
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
            if shown >= MAX_BYTES {
                break;
            }
        }
        libc::ftruncate(file, 0);
    }
}

/// Replaces everything but printable ASCII. A signal handler cannot use Unicode tables, and the messages of the runtime
/// are ASCII.
fn harmless(byte: &mut u8) {
    if !matches!(byte, b'\n' | b'\t' | b' '..=b'~') {
        *byte = b'?';
    }
}

/// Creates an unlinked file opened for appending.
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
