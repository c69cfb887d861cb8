//! How the program treats its terminal: complete frames, no unsafe characters, the mouse captured only if wanted.

use super::session::Session;
use std::ffi::OsStr;
use std::path::Path;

const NOWHERE: &str = "/nowhere/model.gguf";

fn started() -> Session {
    let session = Session::start(Path::new(NOWHERE), 100, 30);
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session
}

/// The terminal never shows part of a frame.
#[test]
fn every_frame_is_a_synchronized_update() {
    let mut session = started();
    session.type_("a few words");
    session.wait("the words", |screen| screen.contains("› a few words"));
    session.type_("\x03\x03");
    let sent = session.sent.clone();
    assert_eq!(session.assert_restored(), 0);
    let log = String::from_utf8_lossy(&sent.lock().expect("the log")).into_owned();
    let (begun, ended) = ("\x1b[?2026h", "\x1b[?2026l");
    assert!(log.matches(begun).count() > 1);
    let outside: String = log
        .split(begun)
        .map(|rest| rest.split_once(ended).map_or(rest, |(_, after)| after))
        .collect();
    assert!(
        !outside.contains("controls") && !outside.contains("a few"),
        "{outside:?}"
    );
}

/// Pasted text goes into the prompt completely, line ends included, and never to the terminal unfiltered.
#[test]
fn a_paste_is_text_and_nothing_else() {
    let mut session = started();
    session.type_("\x1b[200~one\rtwo \x1b]0;stolen\x07 three\x1b[201~");
    session.wait("both lines", |screen| {
        screen.contains("› one") && screen.contains("three")
    });
    assert!(!session.log().contains("\x1b]0;"), "{:?}", session.log());
    session.type_("\x03\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn the_mouse_is_let_go_and_taken_again() {
    let mut session = started();
    assert!(session.has_mouse());
    session.type_("\x1b[20~");
    session.wait("the mark", |screen| screen.contains("mouse released"));
    assert!(!session.has_mouse());
    session.type_("\x1b[20~");
    session.wait("the mark", |screen| screen.contains("mouse captured"));
    assert!(session.has_mouse());
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

/// An unreadable settings file gives one message, and never blocks.
#[test]
fn a_settings_file_that_cannot_be_read_is_reported() {
    let broken = |make: &dyn Fn(&Path)| {
        let home = tempfile::tempdir().expect("a home");
        let file = home.path().join("skiplens/config.toml");
        std::fs::create_dir_all(home.path().join("skiplens")).expect("a folder");
        make(&file);
        let (log, status) = Session::with(&[], home, (100, 30)).output();
        assert_eq!(status.exit_code(), 2, "{log}");
        assert_eq!(log.trim().lines().count(), 1, "{log}");
        assert!(
            log.contains("skiplens: settings file /") && log.contains("config.toml"),
            "{log}"
        );
        log
    };
    let log = broken(&|file| std::fs::write(file, "mouse = true\n[keys\n").expect("a file"));
    assert!(log.contains("config.toml, line 2: "), "{log}");
    let log = broken(&|file| std::fs::create_dir(file).expect("a folder"));
    assert!(log.contains("not a regular file"), "{log}");
    let log = broken(&|file| {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::CString::new(file.as_os_str().as_bytes()).expect("a name");
        // SAFETY: the name ends with a zero byte and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    });
    assert!(log.contains("not a regular file"), "{log}");
}

/// A changed setting is kept for the next start.
#[test]
fn settings_are_kept_for_the_next_time() {
    let mut session = started();
    session.type_("/set theme light\r");
    session.wait("the theme", |screen| screen.contains("theme light"));
    session.type_("/keep evening\r");
    session.wait("the preset", |screen| {
        screen.contains("preset evening saved")
    });
    session.type_("\x03");
    let home = std::mem::replace(&mut session.home, tempfile::tempdir().expect("a home"));
    assert_eq!(session.assert_restored(), 0);
    let mut session = Session::with(&["--model", NOWHERE].map(OsStr::new), home, (100, 30));
    session.wait("the failure", |screen| {
        screen.contains("could not be loaded")
    });
    session.type_("/preset evening\r");
    session.wait("the preset", |screen| screen.contains("preset evening;"));
    session.type_("\x14");
    session.wait("the theme after the light one", |screen| {
        screen.contains("theme default")
    });
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}
