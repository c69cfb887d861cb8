//! A program in a pseudo-terminal, its screen read and its keys pressed.

use super::picture;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The program under test; `SKIPLENS_BINARY` names another build of it.
pub fn binary() -> OsString {
    std::env::var_os("SKIPLENS_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_skiplens").into())
}

/// Timeout of every wait; generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The program in a terminal of its own.
pub struct Session {
    pub master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// All output so far.
    pub sent: Arc<Mutex<Vec<u8>>>,
    pub home: tempfile::TempDir,
}

impl Session {
    /// The playground on a model.
    pub fn start(model: &Path, columns: u16, rows: u16) -> Self {
        Self::start_with(model, columns, rows, &[], &[])
    }

    /// The playground with further arguments and variables.
    pub fn start_with(
        model: &Path,
        columns: u16,
        rows: u16,
        args: &[&str],
        vars: &[(&str, &Path)],
    ) -> Self {
        let mut command = CommandBuilder::new(binary());
        command.arg("--model");
        command.arg(model);
        command.args(args);
        vars.iter()
            .for_each(|(name, value)| command.env(name, value));
        Self::of(command, columns, rows)
    }

    /// The program with these arguments in a home folder that may contain sessions.
    pub fn with(args: &[&OsStr], home: tempfile::TempDir, (columns, rows): (u16, u16)) -> Self {
        let mut command = CommandBuilder::new(binary());
        command.args(args);
        Self::at_home(command, home, columns, rows)
    }

    /// Any command in a terminal of its own.
    pub fn of(command: CommandBuilder, columns: u16, rows: u16) -> Self {
        Self::at_home(command, tempfile::tempdir().expect("a home"), columns, rows)
    }

    /// The same with these variables, which take precedence over the usual ones.
    pub fn with_vars(command: CommandBuilder, vars: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().expect("a home");
        Self::spawn(command, home, vars, (100, 30))
    }

    fn at_home(command: CommandBuilder, home: tempfile::TempDir, columns: u16, rows: u16) -> Self {
        Self::spawn(command, home, &[], (columns, rows))
    }

    fn spawn(
        mut command: CommandBuilder,
        home: tempfile::TempDir,
        vars: &[(&str, String)],
        (columns, rows): (u16, u16),
    ) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system()
            .openpty(size)
            .expect("a pseudo-terminal");
        for (name, value) in [
            ("TERM", "xterm-256color"),
            ("LANG", "C.UTF-8"),
            ("COLORTERM", "truecolor"),
        ] {
            command.env(name, value);
        }
        command.env_remove("NO_COLOR");
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(name, home.path());
        }
        command.env("SKIPLENS_DATA_DIR", home.path().join("skiplens"));
        vars.iter()
            .for_each(|(name, value)| command.env(name, value));
        let child = pair.slave.spawn_command(command).expect("the program");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let sent = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (parser, log) = (screen.clone(), sent.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                parser.lock().expect("the screen").process(&buffer[..count]);
                log.lock()
                    .expect("the log")
                    .extend_from_slice(&buffer[..count]);
            }
        });
        let writer = pair.master.take_writer().expect("a writer");
        Self {
            master: pair.master,
            writer,
            child,
            screen,
            sent,
            home,
        }
    }

    pub fn type_(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("typing");
        self.writer.flush().expect("typing");
    }

    /// The output so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.sent.lock().expect("the log")).into_owned()
    }

    pub fn alternate(&self) -> bool {
        self.screen
            .lock()
            .expect("the screen")
            .screen()
            .alternate_screen()
    }

    /// Whether the program captures the mouse.
    pub fn has_mouse(&self) -> bool {
        let screen = self.screen.lock().expect("the screen");
        screen.screen().mouse_protocol_mode() != vt100::MouseProtocolMode::None
    }

    pub fn contents(&self) -> String {
        self.screen.lock().expect("the screen").screen().contents()
    }

    /// Waits until the screen satisfies a condition.
    pub fn wait(&self, what: &str, until: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let contents = self.contents();
            if until(&contents) {
                return contents;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for {what}:\n{contents}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.screen
            .lock()
            .expect("the screen")
            .screen_mut()
            .set_size(rows, columns);
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.master.resize(size).expect("a new size");
    }

    /// Presses the left button at a cell, drags to another and releases, in the SGR encoding.
    pub fn drag(&mut self, from: (u16, u16), to: (u16, u16)) {
        let at = |button: u8, (column, row): (u16, u16), end: char| {
            format!("\x1b[<{button};{};{}{end}", column + 1, row + 1)
        };
        let events = at(0, from, 'M') + &at(32, to, 'M') + &at(0, to, 'm');
        self.type_(&events);
    }

    /// Column and row of a text on the screen.
    pub fn find(&self, text: &str) -> Option<(u16, u16)> {
        let screen = self.screen.lock().expect("the screen");
        let (rows, columns) = screen.screen().size();
        screen
            .screen()
            .rows(0, columns)
            .take(usize::from(rows))
            .enumerate()
            .find_map(|(y, row)| {
                let before = &row[..row.find(text)?];
                Some((before.chars().count() as u16, y as u16))
            })
    }

    /// Writes a screenshot to the file that `SKIPLENS_PICTURE` names.
    pub fn picture(&self) {
        if let Some(path) = std::env::var_os("SKIPLENS_PICTURE") {
            self.wait("a screen worth a picture", |screen| screen.contains(" 40 "));
            let screen = self.screen.lock().expect("the screen");
            std::fs::write(path, picture::svg(screen.screen())).expect("the picture");
        }
    }

    /// Kills the program with SIGKILL and returns its home folder.
    pub fn kill(mut self) -> tempfile::TempDir {
        self.signal(libc::SIGKILL);
        self.child.wait().expect("an end");
        self.home
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: libc::c_int) {
        let id = self.child.process_id().expect("an id");
        send(id, signal);
    }

    /// Waits for the end and asserts that the terminal is restored.
    pub fn assert_restored(self) -> u32 {
        self.ended().exit_code()
    }

    /// All output until the end, and how the program ended.
    pub fn output(self) -> (String, ExitStatus) {
        let sent = self.sent.clone();
        let status = self.ended();
        let sent = sent.lock().expect("the log");
        (String::from_utf8_lossy(&sent).into_owned(), status)
    }

    /// As [`Session::assert_restored`], with the signal that ended it.
    pub fn ended(mut self) -> ExitStatus {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.contents()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(100));
        let screen = self.screen.lock().expect("the screen");
        assert!(
            !screen.screen().alternate_screen(),
            "the alternate screen is left"
        );
        assert!(!screen.screen().hide_cursor(), "the cursor is shown");
        assert!(!screen.screen().bracketed_paste(), "pastes are plain again");
        assert_eq!(
            screen.screen().mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "the mouse is released"
        );
        drop(screen);
        assert!(self.is_cooked(), "keys are echoed and read by lines");
        status
    }

    /// Whether the terminal reads lines, echoes keys and turns ctrl-c into a signal.
    pub fn is_cooked(&self) -> bool {
        let fd = self.master.as_raw_fd().expect("a terminal");
        let flags = libc::ICANON | libc::ECHO | libc::ISIG;
        // SAFETY: the modes are plain data, which tcgetattr fills; both ends of a pseudo-terminal share them.
        unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            libc::tcgetattr(fd, &raw mut modes) == 0 && modes.c_lflag & flags == flags
        }
    }
}

/// Sends a signal to a process that a test started.
pub fn send(process: u32, signal: libc::c_int) {
    // SAFETY: kill takes plain numbers.
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, signal) }, 0);
}
