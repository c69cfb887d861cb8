//! Writes a session to its file as it happens.

use super::clock;
use super::entry::{Detail, Entry};
use super::line::{Header, JournalLine, Override, RoundLine};
use super::{Error, Result, Session, Store, read, validate};
use crate::engine::decode::Settings;
use crate::safe_text;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Attempts to lock a file, and the wait between them.
const LOCK_TRIES: usize = 10;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// Max time between syncs to disk. A killed program loses nothing either way; a power cut may lose this much.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// The journal of the current session: the session in memory and its file.
///
/// Each entry is written with one `write` before [`Journal::append`] returns, so that killing the program loses
/// nothing that was appended. If writing fails (a full disk), entries stay in memory and are written with the next
/// write that succeeds: report the error and continue.
#[derive(Debug)]
pub struct Journal {
    session: Session,
    path: PathBuf,
    /// `None` until created.
    file: Option<File>,
    /// Whether the session has content, and so gets a file.
    has_content: bool,
    /// Length in bytes of the complete lines in the file.
    valid_len: u64,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    detail: Detail,
    synced: Instant,
    /// Whether the last line is an up-to-date summary.
    ends_with_summary: bool,
    /// Whether this journal has written a settings line: the first one is written even if nothing changed.
    has_settings: bool,
}

impl Journal {
    /// A journal of a new session. The file is created with the first message; until then nothing touches the disk.
    pub fn begin(store: &Store) -> Self {
        let now = clock::now_ms();
        Self::unwritten(store, Session::new(Header::new(store.new_id(now), now)))
    }

    /// A journal with the content of `session` under a new id. Used to continue a session that was loaded from a file
    /// of the user, which is left unchanged.
    pub fn adopt(store: &Store, session: Session) -> Self {
        let now = clock::now_ms();
        let created = if session.header.created_ms == 0 {
            now
        } else {
            session.header.created_ms
        };
        let header = Header {
            title: session.title.clone(),
            ..Header::new(store.new_id(now), created)
        };
        let session = Session { header, ..session };
        let lines: Vec<JournalLine> = session.lines().collect();
        let mut journal = Self::unwritten(store, session);
        lines.iter().for_each(|line| journal.queue(line));
        journal.has_settings = true;
        journal
    }

    fn unwritten(store: &Store, session: Session) -> Self {
        let mut pending = Vec::new();
        push_json(&mut pending, &session.header);
        Self {
            path: store.path_of(&session.header.id),
            session,
            file: None,
            has_content: false,
            valid_len: 0,
            pending,
            detail: Detail::default(),
            synced: Instant::now(),
            ends_with_summary: true,
            has_settings: false,
        }
    }

    /// Opens the journal at `path` to continue it, and locks it against other programs. Drops an incomplete last line.
    /// Returns notes on skipped lines.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, is open in another program, or is a symbolic link, whose target may be
    /// anywhere.
    pub fn resume(path: &Path) -> Result<(Self, Vec<String>)> {
        read::open(path)?;
        if path.is_symlink() {
            return Err(Error::Linked {
                path: path.to_owned(),
            });
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Do not follow a link that has replaced the file since the check.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
        let file = options.open(path).map_err(|error| Error::io(path, error))?;
        lock(&file, path)?;
        let loaded = read::read(path, &file)?;
        if let Some(fault) = loaded.fault {
            return Err(fault);
        }
        file.set_len(loaded.valid_len)
            .map_err(|error| Error::io(path, error))?;
        let journal = Self {
            session: loaded.session,
            path: path.to_owned(),
            file: Some(file),
            has_content: true,
            valid_len: loaded.valid_len,
            pending: if loaded.unterminated {
                b"\n".to_vec()
            } else {
                Vec::new()
            },
            detail: Detail::default(),
            synced: Instant::now(),
            ends_with_summary: loaded.ends_with_summary,
            has_settings: false,
        };
        Ok((journal, loaded.notes))
    }

    /// Sets how much token detail is written from now on.
    pub fn set_detail(&mut self, detail: Detail) {
        self.detail = detail;
    }

    /// The session so far, with only the detail that is written.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The path of the file, which may not exist yet.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the session has content, and so gets a file.
    pub fn has_begun(&self) -> bool {
        self.has_content
    }

    /// Whether the file exists.
    pub fn is_written(&self) -> bool {
        self.file.is_some()
    }

    /// Adds an entry to the session and writes it.
    ///
    /// # Errors
    /// If writing fails. The entry is kept and written with the next attempt.
    pub fn append(&mut self, entry: Entry) -> Result<()> {
        self.append_at(entry, clock::now_ms())
    }

    /// As [`Journal::append`], at `at`, in Unix milliseconds.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_at(&mut self, entry: Entry, at: u64) -> Result<()> {
        let (creates_file, needs_sync) = (entry.creates_file(), entry.needs_sync());
        let before = self.pending.len();
        for line in self.lines_of(entry, at) {
            let mut bytes = Vec::new();
            push_json(&mut bytes, &line);
            // A late round of a run that has ended or was dropped no longer applies.
            if self.session.apply(line).is_ok() {
                self.pending.append(&mut bytes);
            }
        }
        self.ends_with_summary &= self.pending.len() == before;
        self.has_content |= creates_file;
        if !self.has_content {
            return Ok(());
        }
        if needs_sync {
            self.push_summary();
        }
        self.write()?;
        if needs_sync || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()
        } else {
            Ok(())
        }
    }

    /// Writes the file even without new content, to save a session that was adopted.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn write_now(&mut self) -> Result<()> {
        self.has_content = true;
        self.write()
    }

    /// Writes pending lines and syncs the file to disk.
    ///
    /// # Errors
    /// As [`Journal::append`], and if syncing fails.
    pub fn sync(&mut self) -> Result<()> {
        if !self.has_content {
            return Ok(());
        }
        self.write()?;
        self.synced = Instant::now();
        match &self.file {
            Some(file) => file
                .sync_data()
                .map_err(|error| Error::io(&self.path, error)),
            None => Ok(()),
        }
    }

    /// Writes a summary and syncs. Dropping a journal does the same but ignores errors.
    ///
    /// # Errors
    /// As [`Journal::sync`].
    pub fn close(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        if !self.has_content {
            return Ok(());
        }
        self.push_summary();
        self.sync()
    }

    fn push_summary(&mut self) {
        if !self.ends_with_summary {
            self.queue(&JournalLine::Summary(self.session.totals()));
            self.ends_with_summary = true;
        }
    }

    /// The lines that record `entry`; empty if it changes nothing.
    fn lines_of(&mut self, entry: Entry, at: u64) -> Vec<JournalLine> {
        let count = self.session.turns.len() as u64;
        match entry {
            Entry::Title(title) if title == self.session.title => Vec::new(),
            Entry::Title(title) => vec![JournalLine::Title { title }],
            Entry::Model(model) => vec![JournalLine::Model(model)],
            Entry::System(text) if text == self.session.system() => Vec::new(),
            Entry::System(text) => vec![JournalLine::System { text }],
            Entry::Settings(settings) => self.settings_line(settings).into_iter().collect(),
            Entry::Mode(mode) if mode == self.session.current_mode() => Vec::new(),
            Entry::Mode(mode) => vec![JournalLine::Mode { mode }],
            Entry::User(text) => vec![JournalLine::User {
                turn: count,
                at,
                text,
            }],
            Entry::Assistant(text) => vec![JournalLine::Assistant {
                turn: count,
                at,
                text,
            }],
            Entry::Run {
                run,
                prompt,
                settings,
            } => {
                let turn = count - u64::from(self.session.continues_answer());
                let line = JournalLine::Run {
                    turn,
                    at,
                    run,
                    prompt: self.session.form_of(&prompt),
                    model: None,
                    system: None,
                };
                self.settings_line(settings)
                    .into_iter()
                    .chain([line])
                    .collect()
            }
            Entry::Dropped { run, messages } => vec![JournalLine::Dropped { run, messages }],
            Entry::Round { run, mut round } => {
                validate::sanitise_settings(Arc::make_mut(&mut round.settings));
                let overridden = self.has_settings
                    && Override::between(&self.session.settings, &round.settings).is_some();
                let settings = if overridden {
                    None
                } else {
                    self.settings_line(Settings::clone(&round.settings))
                };
                let base = if overridden {
                    self.session.settings.clone()
                } else {
                    Settings::clone(&round.settings)
                };
                let mut line = RoundLine::new(run, &base, *round, self.detail);
                validate::sanitise_round(&mut line);
                settings
                    .into_iter()
                    .chain([JournalLine::Round(Box::new(line))])
                    .collect()
            }
            Entry::End { run, mut end } => {
                end.prefill.seconds = validate::duration(end.prefill.seconds);
                vec![JournalLine::End { run, end }]
            }
            // Invalid rows may be dropped: they can be requested again.
            Entry::Lens { lens, .. }
                if self.detail != Detail::Layers || validate::lens(&lens).is_err() =>
            {
                Vec::new()
            }
            Entry::Lens { run, lens } => vec![JournalLine::Lens { run, lens }],
            Entry::Retry => vec![JournalLine::Retry {}],
            Entry::Show { turn, answer } => vec![JournalLine::Show { turn, answer }],
            Entry::Queued(texts) if texts == self.session.queued => Vec::new(),
            Entry::Queued(texts) => vec![JournalLine::Queued { texts }],
            Entry::Race(race) if Some(&race) == self.session.race.as_ref() => Vec::new(),
            Entry::Race(mut race) => {
                validate::sanitise_settings(&mut race.settings);
                vec![JournalLine::Race(race)]
            }
            Entry::Truncate(turns) if turns as u64 >= count => Vec::new(),
            Entry::Truncate(turns) => vec![JournalLine::Truncate { turns }],
        }
    }

    fn settings_line(&mut self, mut settings: Settings) -> Option<JournalLine> {
        validate::sanitise_settings(&mut settings);
        let known = self.has_settings && settings == self.session.settings;
        self.has_settings = true;
        (!known).then_some(JournalLine::Settings(settings))
    }

    fn queue(&mut self, line: &JournalLine) {
        push_json(&mut self.pending, line);
    }

    /// Writes pending lines with one call. After a failure the file is truncated to its last complete line.
    fn write(&mut self) -> Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.path)?),
        };
        let written = file
            .seek(SeekFrom::Start(self.valid_len))
            .and_then(|_| file.write_all(&self.pending));
        if let Err(error) = written {
            let _ = file.set_len(self.valid_len);
            return Err(Error::io(&self.path, error));
        }
        self.valid_len += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Appends `value` as a line of JSON that is safe to show on a terminal.
pub(super) fn push_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Plain data with string keys always serialises.
    if let Ok(line) = serde_json::to_string(value) {
        out.extend_from_slice(safe_text::json(line).as_bytes());
        out.push(b'\n');
    }
}

/// Creates a file readable only by its owner, and its folder likewise.
fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        super::store::make_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| Error::io(path, error))?;
    lock(&file, path)?;
    Ok(file)
}

/// Locks the file against other programs until it is closed. File systems without locks are tolerated.
///
/// # Errors
/// [`Error::InUse`] if another program holds the lock.
pub(super) fn lock(file: &File, path: &Path) -> Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            // A child process being spawned briefly holds copies of open files, even of ones closed here.
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
    Err(Error::InUse {
        path: path.to_owned(),
    })
}
