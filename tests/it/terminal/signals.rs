//! Signals: the terminal is restored when one ends or stops the program.

use super::session::{Session, binary, send};
use portable_pty::CommandBuilder;
use std::path::Path;

const NOWHERE: &str = "/nowhere/model.gguf";

/// Signals that end a program by default.
const DEADLY: [(libc::c_int, &str); 17] = [
    (libc::SIGHUP, "Hangup"),
    (libc::SIGINT, "Interrupt"),
    (libc::SIGQUIT, "Quit"),
    (libc::SIGILL, "Illegal instruction"),
    (libc::SIGTRAP, "trap"),
    (libc::SIGABRT, "Abort"),
    (libc::SIGBUS, "Bus error"),
    (libc::SIGFPE, "Floating point"),
    (libc::SIGUSR1, "User defined signal 1"),
    (libc::SIGSEGV, "Segmentation fault"),
    (libc::SIGUSR2, "User defined signal 2"),
    (libc::SIGALRM, "Alarm"),
    (libc::SIGTERM, "Terminated"),
    (libc::SIGXCPU, "CPU time"),
    (libc::SIGVTALRM, "Virtual timer"),
    (libc::SIGPROF, "Profiling timer"),
    (libc::SIGSYS, "Bad system call"),
];

/// The program restores the terminal and then dies of the signal, as its parent sees it.
#[test]
fn every_deadly_signal_leaves_the_terminal_as_it_was() {
    for some in DEADLY.chunks(6) {
        let sessions: Vec<_> = some
            .iter()
            .map(|(signal, name)| (Session::start(Path::new(NOWHERE), 80, 24), signal, name))
            .collect();
        for (session, signal, name) in sessions {
            session.wait("the failure", |screen| {
                screen.contains("could not be loaded")
            });
            assert!(!session.is_cooked());
            session.signal(*signal);
            let status = session.ended();
            let told = status.signal().unwrap_or("no signal");
            assert!(told.contains(name), "{signal}: {told}");
        }
    }
}

/// Real-time signals have no names, but the same default action.
#[cfg(target_os = "linux")]
#[test]
fn a_real_time_signal_is_one_of_them() {
    let session = Session::start(Path::new(NOWHERE), 80, 24);
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.signal(libc::SIGRTMIN() + 3);
    assert!(session.ended().signal().is_some());
}

/// After the program was stopped by SIGTSTP or SIGSTOP and continued by a shell that used the terminal in between, the
/// screen is complete and keys reach the prompt.
#[test]
fn stopped_and_continued_the_screen_is_taken_again() {
    for signal in [libc::SIGSTOP, libc::SIGTSTP] {
        let folder = tempfile::tempdir().expect("a folder");
        let id = folder.path().join("id");
        let script = "set -m; sh -c 'echo $$ > \"$ID\"; exec \"$0\" \"$@\"' \"$0\" \"$@\"; stty sane; \
                      echo in the shell; read answer; fg >/dev/null; echo left with $?";
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", script]);
        command.arg(binary());
        command.args(["--model", NOWHERE]);
        command.env("ID", &id);
        let mut session = Session::of(command, 80, 24);
        session.wait("the failure", |screen| {
            screen.contains("could not be loaded")
        });
        session.type_("kept");
        session.wait("the prompt", |screen| screen.contains("› kept"));
        let id = std::fs::read_to_string(&id).expect("an id");
        send(id.trim().parse().expect("a number"), signal);
        session.wait("the shell", |screen| screen.contains("in the shell"));
        assert!(session.is_cooked());
        session.type_("\n");
        session.wait("the screen", |screen| {
            screen.contains("controls") && screen.contains("› kept") && !screen.contains("shell")
        });
        session.type_(" and more");
        session.wait("the keys", |screen| screen.contains("› kept and more"));
        assert!(session.alternate() && session.has_mouse() && !session.is_cooked());
        session.type_("\x03\x03");
        session.wait("the end", |screen| screen.contains("left with 0"));
        assert_eq!(session.assert_restored(), 0, "after signal {signal}");
    }
}
