//! Writing a session as it happens.

use super::clock;
use super::entry::{Detail, Entry};
use super::line::{Header, Line, Moved, RoundLine};
use super::{Error, Result, Session, Store, check, read, text};
use crate::engine::decode::Settings;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long written lines may stay with the operating system before they are brought to the disk itself.
/// A killed program loses nothing either way; a power cut may lose this much.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// The journal of the session under way. It holds the session as far as it was told, and its file follows.
///
/// Each entry is written with one `write` before [`Journal::append`] returns, so that killing the program loses
/// nothing that was appended. When writing fails (a full disk), the entries wait in memory and go out with the next
/// one that succeeds: report the error, and carry on.
#[derive(Debug)]
pub struct Journal {
    session: Session,
    path: PathBuf,
    /// None until it is made.
    file: Option<File>,
    /// Whether there is to be a file: once something was said.
    wanted: bool,
    /// Bytes of the file that hold whole lines.
    whole: u64,
    /// Lines that wait to be written.
    waiting: Vec<u8>,
    detail: Detail,
    synced: Instant,
    /// Whether the last line written sums up all before it.
    summed_up: bool,
    /// Whether any settings line is in the file: the first one is needed whatever it says.
    settled: bool,
}

impl Journal {
    /// A journal of a new session. The file is made when something is said; until then nothing touches the disk.
    pub fn begin(store: &Store) -> Self {
        let now = clock::now_ms();
        Self::unwritten(store, Session::new(Header::new(store.new_id(now), now)))
    }

    /// A journal that begins with all that `session` holds, under an id of its own: for going on with a session that
    /// was loaded from a file of the user's, which stays as it is.
    pub fn adopt(store: &Store, session: Session) -> Self {
        let now = clock::now_ms();
        let begun = if session.header.created_ms == 0 {
            now
        } else {
            session.header.created_ms
        };
        let header = Header {
            title: session.title.clone(),
            ..Header::new(store.new_id(now), begun)
        };
        let session = Session { header, ..session };
        let lines: Vec<Line> = session.lines().collect();
        let mut journal = Self::unwritten(store, session);
        lines.iter().for_each(|line| journal.queue(line));
        journal.settled = true;
        journal
    }

    fn unwritten(store: &Store, session: Session) -> Self {
        let mut waiting = Vec::new();
        push_json(&mut waiting, &session.header);
        Self {
            path: store.path_of(&session.header.id),
            session,
            file: None,
            wanted: false,
            whole: 0,
            waiting,
            detail: Detail::default(),
            synced: Instant::now(),
            summed_up: true,
            settled: false,
        }
    }

    /// Goes on with the journal at `path`: a torn last line is cut off, and no other program can write to it meanwhile.
    /// What was skipped or mended is returned as notes. A link is refused: the file behind it may be anywhere.
    pub fn resume(path: &Path) -> Result<(Self, Vec<String>)> {
        read::open(path)?;
        if path.is_symlink() {
            return Err(Error::Linked {
                path: path.to_owned(),
            });
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Nor one that takes the file's place meanwhile.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
        let file = options.open(path).map_err(|error| Error::io(path, error))?;
        lock(&file, path)?;
        let loaded = read::read(path, &file)?;
        if let Some(fault) = loaded.fault {
            return Err(fault);
        }
        file.set_len(loaded.whole)
            .map_err(|error| Error::io(path, error))?;
        let journal = Self {
            session: loaded.session,
            path: path.to_owned(),
            file: Some(file),
            wanted: true,
            whole: loaded.whole,
            waiting: if loaded.unterminated {
                b"\n".to_vec()
            } else {
                Vec::new()
            },
            detail: Detail::default(),
            synced: Instant::now(),
            summed_up: loaded.summed_up,
            settled: false,
        };
        Ok((journal, loaded.notes))
    }

    /// How much of the tokens' detail is written from now on.
    pub fn set_detail(&mut self, detail: Detail) {
        self.detail = detail;
    }

    /// The session so far. Details that are not written are not in it either.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where the file is, or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything was said that is worth a file.
    pub fn has_begun(&self) -> bool {
        self.wanted
    }

    /// Whether the file exists by now.
    pub fn is_written(&self) -> bool {
        self.file.is_some()
    }

    /// Takes an entry up and writes it. On an error the entry is not lost: it waits for the next attempt.
    pub fn append(&mut self, entry: Entry) -> Result<()> {
        self.append_at(entry, clock::now_ms())
    }

    /// As [`Journal::append`], with the time given.
    pub fn append_at(&mut self, entry: Entry, at: u64) -> Result<()> {
        let (speaks, settles) = (entry.speaks(), entry.settles());
        let before = self.waiting.len();
        for line in self.lines_of(entry, at) {
            let mut bytes = Vec::new();
            push_json(&mut bytes, &line);
            // A late round, of a run that is over or was taken back, fits no more and is dropped.
            if self.session.apply(line).is_ok() {
                self.waiting.append(&mut bytes);
            }
        }
        self.summed_up &= self.waiting.len() == before;
        self.wanted |= speaks;
        if !self.wanted {
            return Ok(());
        }
        if settles {
            self.sum_up();
        }
        self.write()?;
        if settles || self.synced.elapsed() >= SYNC_EVERY {
            self.sync()
        } else {
            Ok(())
        }
    }

    /// Makes the file even if nothing was said since: for keeping a session that was adopted.
    pub fn write_now(&mut self) -> Result<()> {
        self.wanted = true;
        self.write()
    }

    /// Writes what waits and brings the file to the disk itself.
    pub fn sync(&mut self) -> Result<()> {
        if !self.wanted {
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

    /// Sums up and syncs; dropping a journal does the same without telling of errors.
    pub fn close(mut self) -> Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> Result<()> {
        if !self.wanted {
            return Ok(());
        }
        self.sum_up();
        self.sync()
    }

    fn sum_up(&mut self) {
        if !self.summed_up {
            self.queue(&Line::Summary(self.session.totals()));
            self.summed_up = true;
        }
    }

    /// The lines that say `entry` in this session; none if it says nothing new.
    fn lines_of(&mut self, entry: Entry, at: u64) -> Vec<Line> {
        let count = self.session.turns.len() as u64;
        match entry {
            Entry::Title(title) if title == self.session.title => Vec::new(),
            Entry::Title(title) => vec![Line::Title { title }],
            Entry::Model(model) => vec![Line::Model(model)],
            Entry::System(text) if text == self.session.system() => Vec::new(),
            Entry::System(text) => vec![Line::System { text }],
            Entry::Settings(settings) => self.settings_line(settings).into_iter().collect(),
            Entry::Mode(mode) if mode == self.session.mode_in_force() => Vec::new(),
            Entry::Mode(mode) => vec![Line::Mode { mode }],
            Entry::User(text) => vec![Line::User {
                turn: count,
                at,
                text,
            }],
            Entry::Assistant(text) => vec![Line::Assistant {
                turn: count,
                at,
                text,
            }],
            Entry::Run {
                run,
                prompt,
                settings,
            } => {
                let turn = count - u64::from(self.session.answer_goes_on());
                let line = Line::Run {
                    turn,
                    at,
                    run,
                    prompt: self.session.form_of(&prompt),
                };
                self.settings_line(settings)
                    .into_iter()
                    .chain([line])
                    .collect()
            }
            Entry::Round { run, mut round } => {
                check::mend_settings(Arc::make_mut(&mut round.settings));
                let moved = self.settled
                    && Moved::between(&self.session.settings, &round.settings).is_some();
                let settings = if moved {
                    None
                } else {
                    self.settings_line(Settings::clone(&round.settings))
                };
                let base = if moved {
                    self.session.settings.clone()
                } else {
                    Settings::clone(&round.settings)
                };
                let mut line = RoundLine::new(run, &base, *round, self.detail);
                check::mend_round(&mut line);
                settings
                    .into_iter()
                    .chain([Line::Round(Box::new(line))])
                    .collect()
            }
            Entry::End { run, mut end } => {
                end.prefill.seconds = check::duration(end.prefill.seconds);
                vec![Line::End { run, end }]
            }
            // What cannot be is no loss: it can be asked again.
            Entry::Lens { lens, .. }
                if self.detail != Detail::Layers || check::lens(&lens).is_err() =>
            {
                Vec::new()
            }
            Entry::Lens { run, lens } => vec![Line::Lens { run, lens }],
            Entry::Keep(turns) if turns as u64 >= count => Vec::new(),
            Entry::Keep(turns) => vec![Line::Keep { turns }],
        }
    }

    fn settings_line(&mut self, mut settings: Settings) -> Option<Line> {
        check::mend_settings(&mut settings);
        let known = self.settled && settings == self.session.settings;
        self.settled = true;
        (!known).then_some(Line::Settings(settings))
    }

    fn queue(&mut self, line: &Line) {
        push_json(&mut self.waiting, line);
    }

    /// Writes what waits, in one go. After a failure the file is cut back to its last whole line.
    fn write(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(create(&self.path)?),
        };
        let written = file
            .seek(SeekFrom::Start(self.whole))
            .and_then(|_| file.write_all(&self.waiting));
        if let Err(error) = written {
            let _ = file.set_len(self.whole);
            return Err(Error::io(&self.path, error));
        }
        self.whole += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// One line of JSON that harms no terminal that shows the file.
pub(super) fn push_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Plain data with string keys always serialises.
    if let Ok(line) = serde_json::to_string(value) {
        out.extend_from_slice(text::json(line).as_bytes());
        out.push(b'\n');
    }
}

/// A new file that only its owner reads, in a folder of the same kind.
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

/// Keeps other programs out until the file is closed. File systems without locks are taken as they are.
pub(super) fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: path.to_owned(),
        }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}
