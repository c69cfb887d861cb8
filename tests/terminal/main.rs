//! The real binary in a pseudo-terminal: it starts, shows, obeys and leaves the terminal as it was.
#![cfg(unix)]

mod picture;
#[path = "../support/mod.rs"]
mod support;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use skiplens::engine::decode::{FinalToken, Origin, Round, Settings, Stats, StopReason};
use skiplens::engine::worker::{Message, Prompt, Role, RunId};
use skiplens::transcript::{Entry, Journal, RunEnd, Store};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take. The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program in a terminal of its own.
struct Session {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All that was ever sent to the terminal.
    sent: Arc<Mutex<Vec<u8>>>,
    home: tempfile::TempDir,
}

impl Session {
    fn start(model: &Path, columns: u16, rows: u16) -> Self {
        let args = [OsStr::new("--model"), model.as_os_str()];
        Self::with(&args, tempfile::tempdir().expect("a home"), (columns, rows))
    }

    /// The program with these arguments in a home that may hold sessions.
    fn with(args: &[&OsStr], home: tempfile::TempDir, (columns, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_skiplens"));
        command.args(args);
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")] {
            command.env(name, value);
        }
        command.env_remove("NO_COLOR");
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, home.path());
        }
        command.env("SKIPLENS_DATA_DIR", home.path().join("skiplens"));
        let child = pair.slave.spawn_command(command).expect("the program");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (parser, log) = (screen.clone(), sent.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                parser.lock().expect("the screen").process(&buffer[..count]);
                log.lock().expect("the log").extend_from_slice(&buffer[..count]);
            }
        });
        let writer = pair.master.take_writer().expect("a writer");
        Self { master: pair.master, writer, child, screen, sent, home }
    }

    fn type_(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("typing");
        self.writer.flush().expect("typing");
    }

    fn contents(&self) -> String {
        self.screen.lock().expect("the screen").screen().contents()
    }

    /// Wait until the screen satisfies something.
    fn wait(&self, what: &str, until: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let contents = self.contents();
            if until(&contents) {
                return contents;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain for {what}:\n{contents}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().expect("the screen").screen_mut().set_size(rows, columns);
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("a new size");
    }

    /// Press the left button at a cell, drag to another and release, in the SGR encoding.
    fn drag(&mut self, from: (u16, u16), to: (u16, u16)) {
        let at = |button: u8, (column, row): (u16, u16), end: char| {
            format!("\x1b[<{button};{};{}{end}", column + 1, row + 1)
        };
        let events = at(0, from, 'M') + &at(32, to, 'M') + &at(0, to, 'm');
        self.type_(&events);
    }

    /// The column and row of a text on screen.
    fn find(&self, text: &str) -> Option<(u16, u16)> {
        let screen = self.screen.lock().expect("the screen");
        let (rows, columns) = screen.screen().size();
        screen.screen().rows(0, columns).take(usize::from(rows)).enumerate().find_map(|(y, row)| {
            let before = &row[..row.find(text)?];
            Some((before.chars().count() as u16, y as u16))
        })
    }

    /// Write the screen as a picture to the file that `SKIPLENS_PICTURE` names.
    fn picture(&self) {
        if let Some(path) = std::env::var_os("SKIPLENS_PICTURE") {
            self.wait("a screen worth a picture", |screen| screen.contains(" 40 "));
            let screen = self.screen.lock().expect("the screen");
            std::fs::write(path, picture::svg(screen.screen())).expect("the picture");
        }
    }

    /// Wait for the end; the terminal must be as it was.
    fn assert_restored(mut self) -> u32 {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.contents());
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(100));
        let screen = self.screen.lock().expect("the screen");
        assert!(!screen.screen().alternate_screen(), "the alternate screen is left");
        assert!(!screen.screen().hide_cursor(), "the cursor is shown");
        assert!(!screen.screen().bracketed_paste(), "pastes are plain again");
        assert_eq!(screen.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is released");
        drop(screen);
        let sent = self.sent.lock().expect("the log");
        assert!(!sent.is_empty());
        status.exit_code()
    }
}

#[test]
fn a_missing_model_is_explained_and_the_terminal_is_given_back() {
    let mut session = Session::start(Path::new("/nowhere/model.gguf"), 80, 24);
    session.wait("the first frame", |screen| screen.contains("controls"));
    session.wait("the failure", |screen| screen.contains("could not be loaded"));
    session.resize(120, 40);
    session.wait("the new size", |screen| screen.lines().any(|line| line.chars().count() > 110));
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_signal_ends_it_with_the_terminal_restored() {
    let session = Session::start(Path::new("/nowhere/model.gguf"), 80, 24);
    session.wait("the first frame", |screen| screen.contains("could not be loaded"));
    let id = session.child.process_id().expect("an id");
    // SAFETY: kill sends a signal to the child that this test started.
    assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGTERM) }, 0);
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_chat_with_a_real_model() {
    let Some(model) = support::smollm2() else { return };
    let mut session = Session::start(&model, 100, 30);
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_("Write a long story about a fox.\r");
    session.wait("tokens", |screen| screen.contains("tok/s") && screen.contains("%"));
    let (column, row) = session.find("exit layer").expect("the slider");
    session.drag((column + 20, row), (column + 24, row));
    session.wait("the mark of the new exit layer", |screen| screen.contains("‹E"));
    session.picture();
    session.type_("\x1b");
    session.wait("the end", |screen| screen.contains("cancelled"));
    session.resize(70, 20);
    // The frame must be drawn anew: keys that come together with a change of size may wait for the next key.
    session.wait("the new size", |screen| {
        screen.lines().nth(1).is_some_and(|line| line.chars().count() == 70 && line.ends_with('╮'))
    });
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

/// How many tokens of the answer the screen shows.
fn shown_tokens(screen: &str) -> usize {
    let line = screen.lines().find(|line| line.contains(" tok ·")).unwrap_or_default();
    let before = line.split(" tok ·").next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What the screen showed as finished is in the journal, whenever the program is killed.
#[test]
fn killing_the_program_loses_nothing_it_showed() {
    let Some(model) = support::smollm2() else { return };
    for delay in [0, 70, 190, 430, 610] {
        let mut session = Session::start(&model, 100, 30);
        session.wait("the model", |screen| screen.contains(" layers · "));
        session.type_("Write a long story about a fox.\r");
        session.wait("tokens", |screen| shown_tokens(screen) > 0);
        std::thread::sleep(Duration::from_millis(delay));
        let shown = shown_tokens(&session.contents());
        let id = session.child.process_id().expect("an id");
        // SAFETY: kill sends a signal to the child that this test started.
        assert_eq!(unsafe { libc::kill(id as libc::pid_t, libc::SIGKILL) }, 0);
        session.child.wait().expect("an end");
        let kept = Store::at(session.home.path().join("skiplens")).load("last").expect("a journal");
        assert_eq!(kept.turns[0].content(), "Write a long story about a fox.");
        assert!(kept.stats().tokens >= shown, "{} of {shown} tokens were kept", kept.stats().tokens);
        assert!(shown > 0);
    }
}

/// A home with two kept sessions.
fn home_with_sessions() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a home");
    let store = Store::at(home.path().join("skiplens"));
    for (question, answer) in [("Why is the sky blue?", " Because of Rayleigh."), ("What is the tide?", " The moon.")] {
        let mut journal = Journal::begin(&store);
        let (run, settings) = (RunId(0), Settings { exit_layer: 3, ..Settings::default() });
        let message = Message { role: Role::User, content: question.into() };
        let tokens = answer.split_inclusive(' ').map(str::to_owned);
        let last =
            |(id, text)| FinalToken { id, text, origin: Origin::Plain, p_draft: None, p_verify: 0.5, detail: None };
        let round = |last: FinalToken| Round {
            index: last.id as usize,
            position: 20 + last.id as usize,
            settings: settings.clone(),
            control: None,
            drafted: Vec::new(),
            accepted: 0,
            last: Some(last),
            draft_seconds: 0.0,
            verify_seconds: 0.05,
            stop: None,
        };
        let rounds: Vec<Round> = (0..).zip(tokens).map(last).map(round).collect();
        let end = RunEnd::finished(StopReason::Eos, &Stats::of(&rounds), 0);
        let begin = Entry::Run { run, prompt: Prompt::Chat(vec![message]), settings: settings.clone() };
        let entries = [Entry::User(question.into()), begin]
            .into_iter()
            .chain(rounds.into_iter().map(|round| Entry::Round { run, round: Box::new(round) }))
            .chain([Entry::End { run, end }]);
        entries.for_each(|entry| journal.append(entry).expect("an entry"));
        journal.close().expect("a journal");
    }
    home
}

#[test]
fn the_list_of_sessions_opens_one() {
    let args = ["--model", "/nowhere/model.gguf", "-E", "5"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the first frame", |screen| screen.contains("could not be loaded"));
    session.type_("\x13");
    session.wait("the list", |screen| screen.contains("2 sessions") && screen.contains("What is the tide?"));
    session.type_("rayleigh");
    session.wait("what is found", |screen| screen.contains("1 session ") && screen.contains("because of rayleigh"));
    session.type_("\r");
    session.wait("the session", |screen| screen.contains("Because of Rayleigh.") && !screen.contains("╭ sessions"));
    let name = session.home.path().join("screen").display().to_string();
    session.type_(&format!("/picture {name}\r"));
    session.wait("the picture", |screen| screen.contains("saved as"));
    let picture = std::fs::read_to_string(name + ".svg").expect("a picture");
    assert!(picture.starts_with("<svg") && picture.contains("Rayleigh"), "{picture}");
    session.type_("/bye\r");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_deleted_session_is_taken_back() {
    let args = ["--model", "/nowhere/model.gguf"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the first frame", |screen| screen.contains("could not be loaded"));
    session.type_("/sessions\r");
    session.wait("the list", |screen| screen.contains("2 sessions"));
    session.type_("\x1b[3~");
    session.wait("the rest", |screen| screen.contains("1 session "));
    let store = Store::at(session.home.path().join("skiplens"));
    assert_eq!((store.list().expect("a list").len(), store.list_trash().expect("a list").len()), (1, 1));
    session.type_("\x15");
    session.wait("all", |screen| screen.contains("2 sessions"));
    assert_eq!(store.list_trash().expect("a list").len(), 0);
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn a_session_is_replayed_without_a_model() {
    let args = ["transcript", "replay", "--screen", "--speed", "4"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    session.wait("the end", |screen| screen.contains("The moon.") && screen.contains("at the end"));
    session.type_("\x1b[H");
    session.wait("the start", |screen| screen.contains(" of 3 rounds") && !screen.contains("at the end"));
    session.type_(" ");
    session.wait("a pause", |screen| screen.contains("paused"));
    let before = std::fs::read_dir(session.home.path().join("skiplens/sessions")).expect("a folder").count();
    assert_eq!(before, 2, "nothing is written");
    session.type_("q");
    assert_eq!(session.assert_restored(), 0);
}

#[test]
fn the_command_line_goes_before_a_resumed_session() {
    let args = ["--model", "/nowhere/model.gguf", "--resume", "-K", "7"].map(OsStr::new);
    let mut session = Session::with(&args, home_with_sessions(), (100, 30));
    let shown = |screen: &str, label: &str, value: &str| {
        screen.lines().any(|line| line.split(label).nth(1).is_some_and(|rest| rest.trim_start().starts_with(value)))
    };
    session.wait("the settings", |screen| {
        screen.contains("The moon.") && shown(screen, "exit layer", "3 ") && shown(screen, "speculations", "7 ")
    });
    session.type_("\x03");
    assert_eq!(session.assert_restored(), 0);
}
