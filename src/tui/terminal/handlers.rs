//! Signals that end, stop or continue the program. Whatever ends it, the terminal is given back first; then follows what
//! would have followed without us.
//!
//! Handlers only touch atomics and call functions that are async-signal-safe.

use super::{Request, tty};
use libc::{c_int, c_void, siginfo_t};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

/// The signal that asked the program to end, 0 for none.
static ENDED: AtomicI32 = AtomicI32::new(0);
/// Whether the program was asked to stop.
static STOPPED: AtomicBool = AtomicBool::new(false);
/// Whether it was continued after it had been stopped without being asked.
static CONTINUED: AtomicBool = AtomicBool::new(false);
/// How often it was continued.
static CONTINUES: AtomicUsize = AtomicUsize::new(0);
/// Whether somebody else has the terminal with our leave.
static LENT: AtomicBool = AtomicBool::new(false);

/// Signals that ask the program to end. The second one ends it even if it does not listen.
pub const ENDING: [c_int; 3] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT];

/// Signals that end no program by default, or that no program can catch.
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

/// Further ones on BSD and macOS.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const HARMLESS_HERE: &[c_int] = &[libc::SIGIO, libc::SIGINFO];
#[cfg(any(target_os = "linux", target_os = "android"))]
const HARMLESS_HERE: &[c_int] = &[];

/// What was asked since the last call.
pub fn request() -> Option<Request> {
    match ENDED.load(Ordering::SeqCst) {
        0 if STOPPED.swap(false, Ordering::SeqCst) => Some(Request::Stop),
        0 if CONTINUED.swap(false, Ordering::SeqCst) => Some(Request::Continue),
        0 => None,
        signal => Some(Request::End(signal)),
    }
}

/// Sets the handlers, once.
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
        // SAFETY: the function is safe to call at exit.
        unsafe { libc::atexit(leave) };
    });
}

/// The highest signal.
fn last() -> c_int {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return libc::SIGRTMAX();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    return 31;
}

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// What std does on SIGSEGV and SIGBUS: it tells an overflow of the stack from other faults.
static ON_SEGV: OnceLock<libc::sigaction> = OnceLock::new();
static ON_BUS: OnceLock<libc::sigaction> = OnceLock::new();

fn before(signal: c_int) -> Option<&'static OnceLock<libc::sigaction>> {
    match signal {
        libc::SIGSEGV => Some(&ON_SEGV),
        libc::SIGBUS => Some(&ON_BUS),
        _ => None,
    }
}

/// Catches a signal that would end the program. Handlers of others stay, but for those that are followed.
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

/// A signal that the user has ignored, as `nohup` does, stays so.
fn set_unless_ignored(signal: c_int, handler: Handler) {
    if action(signal).is_some_and(|old| old.sa_sigaction != libc::SIG_IGN) {
        set(signal, handler);
    }
}

/// Whether the user has this signal ignored.
pub fn is_ignored(signal: c_int) -> bool {
    action(signal).is_some_and(|old| old.sa_sigaction == libc::SIG_IGN)
}

/// What a signal does now; none where there is no such signal.
fn action(signal: c_int) -> Option<libc::sigaction> {
    // SAFETY: zeroed memory is a sigaction, which sigaction fills.
    unsafe {
        let mut old = std::mem::zeroed();
        (libc::sigaction(signal, std::ptr::null(), &raw mut old) == 0).then_some(old)
    }
}

fn set(signal: c_int, handler: Handler) {
    // SAFETY: the handler has the form that SA_SIGINFO asks for and is async-signal-safe. It runs on the alternate
    // stack, where the thread has one: an overflow leaves no other.
    unsafe {
        let mut new: libc::sigaction = std::mem::zeroed();
        new.sa_sigaction = handler as usize;
        new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        // Nothing comes between, least of all the stop for reaching for the terminal from the background.
        libc::sigfillset(&raw mut new.sa_mask);
        libc::sigaction(signal, &raw const new, std::ptr::null_mut());
    }
}

extern "C" fn fatal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // Typed in an editor, it is the editor's.
    if signal == libc::SIGQUIT && LENT.load(Ordering::SeqCst) {
        return;
    }
    tty::give_back();
    if let Some(before) = before(signal).and_then(OnceLock::get) {
        // SAFETY: std's handler has this form. It reports an overflow and aborts, or restores the default and returns.
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
    // While an editor runs, nobody listens.
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

/// Ends the program as `signal` does by default; within a handler, as soon as that returns.
pub fn die(signal: c_int) {
    // SAFETY: both are async-signal-safe and take plain numbers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Runs `work` while somebody else has the terminal. Keys for interrupting and quitting are his, and he can be stopped
/// together with us.
pub fn lent<T>(work: impl FnOnce() -> T) -> T {
    LENT.store(true, Ordering::SeqCst);
    let ours = action(libc::SIGTSTP);
    // SAFETY: the default and the action from before are both valid.
    unsafe { libc::signal(libc::SIGTSTP, libc::SIG_DFL) };
    let done = work();
    if let Some(ours) = ours {
        // SAFETY: as above.
        unsafe { libc::sigaction(libc::SIGTSTP, &raw const ours, std::ptr::null_mut()) };
    }
    LENT.store(false, Ordering::SeqCst);
    done
}

/// Stops the program and all that was started with it, such as `cargo run`, and returns once it is continued. Where no
/// shell could continue it, the system does not stop it.
pub fn stop() {
    const AT_ONCE: Duration = Duration::from_millis(100);
    let before = CONTINUES.load(Ordering::SeqCst);
    // SAFETY: kill takes plain numbers; 0 is our own group.
    unsafe { libc::kill(0, libc::SIGTSTP) };
    // Another thread may have taken the signal, and this one goes on until it is noticed.
    let since = Instant::now();
    while CONTINUES.load(Ordering::SeqCst) == before && since.elapsed() < AT_ONCE {
        std::thread::sleep(Duration::from_millis(1));
    }
}
