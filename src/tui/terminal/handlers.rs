//! Handlers of signals that terminate, stop or continue the program. The terminal is restored before the signal's usual
//! effect.
//!
//! Handlers only touch atomics and call async-signal-safe functions.

use super::{Request, tty};
use libc::{c_int, c_void, siginfo_t};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

/// The signal that asked the program to exit; 0 for none.
static ENDED: AtomicI32 = AtomicI32::new(0);
/// Whether the program was asked to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);
/// Whether it was continued after a stop without notice.
static CONTINUED: AtomicBool = AtomicBool::new(false);
/// How many times it was continued.
static CONTINUES: AtomicUsize = AtomicUsize::new(0);
/// Whether the terminal is lent to another program, such as an editor.
static LENT: AtomicBool = AtomicBool::new(false);

/// Signals that ask the program to exit. A second one kills it even if it does not respond.
pub const ENDING: [c_int; 3] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT];

/// Signals that do not terminate by default, or that cannot be caught.
const HARMLESS: [c_int; 9] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGWINCH,
];

/// More such signals on BSD and macOS.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HARMLESS_HERE: &[c_int] = &[libc::SIGIO, libc::SIGINFO];
#[cfg(any(target_os = "linux", target_os = "android"))]
const HARMLESS_HERE: &[c_int] = &[];

/// Takes the request since the last call.
pub fn request() -> Option<Request> {
    match ENDED.load(Ordering::SeqCst) {
        0 if STOPPED.swap(false, Ordering::SeqCst) => Some(Request::Stop),
        0 if CONTINUED.swap(false, Ordering::SeqCst) => Some(Request::Continue),
        0 => None,
        signal => Some(Request::End(signal)),
    }
}

/// Installs the handlers, once.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let spared = [&HARMLESS[..], &ENDING, HARMLESS_HERE].concat();
        (1..=last())
            .filter(|signal| !spared.contains(signal))
            .for_each(catch_fatal);
        for signal in ENDING {
            set_unless_ignored(signal, ending);
        }
        set_unless_ignored(libc::SIGTSTP, stopping);
        set_unless_ignored(libc::SIGCONT, continued);
        // SAFETY: `leave` is a valid `extern "C"` function that does not unwind or call `exit`.
        unsafe { libc::atexit(leave) };
    });
}

/// The highest signal number.
fn last() -> c_int {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return libc::SIGRTMAX();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return 31;
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// The handlers of std for SIGSEGV and SIGBUS, which report stack overflows.
static ON_SEGV: OnceLock<libc::sigaction> = OnceLock::new();
static ON_BUS: OnceLock<libc::sigaction> = OnceLock::new();

fn before(signal: c_int) -> Option<&'static OnceLock<libc::sigaction>> {
    match signal {
        libc::SIGSEGV => Some(&ON_SEGV),
        libc::SIGBUS => Some(&ON_BUS),
        _ => None,
    }
}

/// Catches a signal that would terminate the program. Handlers of others stay, except those of std, which are chained.
fn catch_fatal(signal: c_int) {
    let Some(old) = action(signal) else {
        return;
    };
    if old.sa_sigaction == libc::SIG_DFL {
        set(signal, fatal);
    } else if old.sa_sigaction != libc::SIG_IGN
        && let Some(before) = before(signal)
        && before.set(old).is_ok()
    {
        set(signal, fatal);
    }
}

/// Keeps a signal ignored if the user ignores it, as `nohup` does.
fn set_unless_ignored(signal: c_int, handler: Handler) {
    if action(signal).is_some_and(|old| old.sa_sigaction != libc::SIG_IGN) {
        set(signal, handler);
    }
}

/// Whether the signal is ignored.
pub fn is_ignored(signal: c_int) -> bool {
    action(signal).is_some_and(|old| old.sa_sigaction == libc::SIG_IGN)
}

/// The current action of a signal; `None` if there is no such signal.
fn action(signal: c_int) -> Option<libc::sigaction> {
    // SAFETY: zero is a valid sigaction, and sigaction gets a valid pointer to fill.
    unsafe {
        let mut old = std::mem::zeroed();
        (libc::sigaction(signal, std::ptr::null(), &raw mut old) == 0).then_some(old)
    }
}

fn set(signal: c_int, handler: Handler) {
    // SAFETY: `Handler` is the signature that SA_SIGINFO requires, and all handlers in this file are async-signal-safe.
    // `new` is fully initialised. The handler runs on the alternate stack, if the thread has one, as it must after a
    // stack overflow.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = handler as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // No other signal may interrupt, in particular not SIGTTOU when writing from the background.
        libc::sigfillset(&raw mut new.sa_mask);
        libc::sigaction(signal, &raw const new, std::ptr::null_mut());
    }
}

extern "C" fn fatal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // While the terminal is lent, the key is meant for the editor.
    if signal == libc::SIGQUIT && LENT.load(Ordering::SeqCst) {
        return;
    }
    tty::give_back();
    if let Some(before) = before(signal).and_then(OnceLock::get) {
        // SAFETY: the saved action is std's, which uses SA_SIGINFO and so has this signature. It reports an overflow and
        // aborts, or restores the default action and returns.
        unsafe {
            let handler: Handler = std::mem::transmute(before.sa_sigaction);
            handler(signal, info, context);
        }
    }
    die(signal);
}

extern "C" fn ending(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    let lent = LENT.load(Ordering::SeqCst);
    if lent && signal == libc::SIGINT {
        return;
    }
    let asked = ENDED.swap(signal, Ordering::SeqCst) != 0;
    // While an editor runs, the driver does not poll for requests.
    if asked || lent {
        tty::give_back();
        die(signal);
    }
}

extern "C" fn stopping(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    STOPPED.store(true, Ordering::SeqCst);
}

extern "C" fn continued(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    CONTINUES.fetch_add(1, Ordering::SeqCst);
    if !LENT.load(Ordering::SeqCst) {
        CONTINUED.store(true, Ordering::SeqCst);
    }
}

extern "C" fn leave() {
    tty::give_back();
}

/// Kills the program by `signal`'s default action; in a handler, once the handler returns.
pub fn die(signal: c_int) {
    // SAFETY: both functions are async-signal-safe, and `SIG_DFL` is a valid action.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Runs `work` while another program has the terminal. The interrupt and quit keys only concern that program, and it can
/// be stopped together with this one.
pub fn lent<T>(work: impl FnOnce() -> T) -> T {
    LENT.store(true, Ordering::SeqCst);
    let ours = action(libc::SIGTSTP);
    // SAFETY: `SIG_DFL` is a valid action.
    unsafe { libc::signal(libc::SIGTSTP, libc::SIG_DFL) };
    let done = work();
    if let Some(ours) = ours {
        // SAFETY: the previous action came from `sigaction` and is valid.
        unsafe { libc::sigaction(libc::SIGTSTP, &raw const ours, std::ptr::null_mut()) };
    }
    LENT.store(false, Ordering::SeqCst);
    done
}

/// Stops the process group, so also a parent such as `cargo run`, and returns once continued. The system does not stop
/// an orphaned group, which no shell could continue.
pub fn stop() {
    const AT_ONCE: Duration = Duration::from_millis(100);
    let before = CONTINUES.load(Ordering::SeqCst);
    // SAFETY: kill takes no pointers; 0 addresses this process group.
    unsafe { libc::kill(0, libc::SIGTSTP) };
    // Another thread may receive the signal, and this one runs on until the stop takes effect.
    let since = Instant::now();
    while CONTINUES.load(Ordering::SeqCst) == before && since.elapsed() < AT_ONCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}
