//! Crashes: the terminal is restored first, so that the message can be read.

use super::session::Session;
use portable_pty::{CommandBuilder, ExitStatus};
use skiplens::tui::Terminal;
use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::time::Duration;

/// Tells [`in_a_terminal_of_its_own`] how to end.
const CHILD: &str = "SKIPLENS_TEST_END";
/// The sequences that switch to the alternate screen and back.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn started(end: &str) -> Session {
    let mut command = CommandBuilder::new(std::env::current_exe().expect("this program"));
    command.args([
        "--exact",
        "terminal::dying::in_a_terminal_of_its_own",
        "--nocapture",
    ]);
    command.env(CHILD, end);
    command.env("RUST_BACKTRACE", "0");
    Session::of(command, 80, 24)
}

/// Asserts that the message follows the restoration of the terminal.
fn last_words(end: &str, words: &str) -> ExitStatus {
    let session = started(end);
    session.wait("the report", |screen| screen.contains(words));
    let log = session.log();
    let at = |text: &str| {
        log.rfind(text)
            .unwrap_or_else(|| panic!("no {text:?} in {log:?}"))
    };
    assert!(at(ENTER) < at(LEAVE) && at(LEAVE) < at(words), "{log:?}");
    session.ended()
}

#[test]
fn a_panic_restores_the_terminal_and_then_reports() {
    assert!(!last_words("panic", "a fault on purpose").success());
}

#[test]
fn an_overflow_of_any_stack_restores_the_terminal_and_then_reports() {
    for end in ["overflow", "overflow elsewhere"] {
        let status = last_words(end, "has overflowed its stack");
        assert!(status.signal().is_some_and(|name| name.contains("Abort")));
    }
}

#[test]
fn a_failed_allocation_restores_the_terminal_and_then_reports() {
    let status = last_words(
        "allocation",
        "memory allocation of 1099511627776 bytes failed",
    );
    assert!(status.signal().is_some_and(|name| name.contains("Abort")));
}

/// What a library writes to standard error does not appear on the screen, and its control characters are removed.
#[test]
fn words_of_others_wait_until_the_screen_is_left() {
    let status = last_words("words", "from a library ?[2J");
    assert_eq!(status.exit_code(), 7);
}

#[test]
fn leaving_without_a_word_restores_the_terminal() {
    let session = started("exit");
    assert_eq!(session.ended().exit_code(), 7);
}

/// A program that does not handle the first signal is ended by the second.
#[test]
fn the_second_request_to_end_is_obeyed_by_a_program_that_does_not_listen() {
    let session = started("deaf");
    session.wait("the screen", |_| session.log().contains(ENTER));
    session.signal(libc::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(session.alternate(), "it was asked, and did not listen");
    session.signal(libc::SIGTERM);
    let name = session.ended();
    assert!(name.signal().is_some_and(|name| name == "Terminated"));
}

/// Not a test by itself: the tests above run it in a terminal.
#[test]
fn in_a_terminal_of_its_own() {
    let Some(end) = std::env::var_os(CHILD) else {
        return;
    };
    let _terminal = Terminal::enter(true).expect("a terminal");
    match end.to_str() {
        Some("panic") => panic!("a fault on purpose"),
        Some("overflow") => drop(deeper(0)),
        Some("overflow elsewhere") => drop(std::thread::spawn(|| deeper(0)).join()),
        Some("allocation") => {
            handle_alloc_error(Layout::from_size_align(1 << 40, 1).expect("a layout"))
        }
        Some("words") => {
            eprintln!("from a library \x1b[2J");
            std::process::exit(7)
        }
        Some("exit") => std::process::exit(7),
        Some("deaf") => loop {
            std::thread::park();
        },
        other => panic!("no such end: {other:?}"),
    }
}

/// Never returns.
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if depth == u64::MAX {
        return depth;
    }
    deeper(depth + 1) + frame[0]
}
