//! Reads journal files into sessions. Files are untrusted: any content gives a session or an error, never a panic, and
//! memory stays proportional to the size of the file.

use super::line::{Header, JournalLine, MAGIC, SCHEMA};
use super::validate;
use super::{Error, Result, Session};
use crate::engine::decode::Settings;
use crate::error_text;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Max length of a line. Pasted text and rounds with the detail of every layer stay far below.
const MAX_LINE_BYTES: u64 = 64 << 20;
/// Max length of the header line.
pub const MAX_HEADER_BYTES: u64 = 64 << 10;
/// Limit on the bytes of settings over all rounds. Each round in memory holds its own copy of the settings, so a small
/// file with long stop strings could otherwise exhaust memory.
const SETTINGS_BUDGET: usize = 256 << 20;
/// Max number of notes; further ones are only counted.
const MAX_NOTES: usize = 20;

/// The content of a journal file.
#[derive(Debug)]
pub struct Loaded {
    pub session: Session,
    /// Messages to the user about lines that were skipped.
    pub notes: Vec<String>,
    /// Why reading stopped before the end of the file.
    pub fault: Option<Error>,
    /// Length in bytes of the complete lines. The rest is a partial line, left when the program was killed.
    pub valid_len: u64,
    /// Whether the last complete line lacks its line feed.
    pub unterminated: bool,
    /// Whether the last line is a summary, so that its totals cover the whole file.
    pub ends_with_summary: bool,
}

/// Reads the session in the journal at `path`. A partial last line is dropped.
///
/// # Errors
/// If the file cannot be read or is not a journal, or if any complete line is damaged.
pub fn load(path: &Path) -> Result<Session> {
    let loaded = salvage(path)?;
    loaded.fault.map_or(Ok(loaded.session), Err)
}

/// Reads as much of the journal at `path` as possible. [`Loaded::fault`] is the error that stopped it.
///
/// # Errors
/// If the file cannot be read or its first line is not a journal header.
pub fn salvage(path: &Path) -> Result<Loaded> {
    read(path, open(path)?)
}

/// Opens a regular file for reading.
///
/// # Errors
/// If the file cannot be opened, or is not a regular file: opening a pipe would block.
pub fn open(path: &Path) -> Result<File> {
    let kind = fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !kind.is_file() {
        return Err(Error::io(
            path,
            io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"),
        ));
    }
    File::open(path).map_err(|error| Error::io(path, error))
}

/// As [`salvage`], from an open file; `path` is for messages only.
///
/// # Errors
/// As [`salvage`].
pub fn read(path: &Path, file: impl Read) -> Result<Loaded> {
    let mut lines = Lines {
        input: BufReader::new(file),
        buffer: Vec::new(),
    };
    let first = lines
        .next(MAX_HEADER_BYTES)
        .map_err(|error| Error::io(path, error))?;
    let header = header(path, first.bytes())?;
    let mut reader = Reader::new(path, header, &first);
    while reader.loaded.fault.is_none() {
        match lines.next(MAX_LINE_BYTES) {
            Ok(Piece::End) => break,
            Ok(piece) => reader.take(piece),
            Err(error) => reader.loaded.fault = Some(Error::io(path, error)),
        }
    }
    Ok(reader.finish())
}

/// Parses the header in `line`.
///
/// # Errors
/// If `line` is not a journal header, or has a schema newer than [`SCHEMA`].
pub fn header(path: &Path, line: &[u8]) -> Result<Header> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        format: Cow<'a, str>,
        schema: u64,
    }
    let not = |fault: String| Error::NotAJournal {
        path: path.to_owned(),
        fault,
    };
    if line.is_empty() {
        return Err(not("the file is empty".into()));
    }
    let probe: Probe = serde_json::from_slice(line).map_err(|error| match error.is_data() {
        true => not(format!("first line: {}", error_text::json(&error))),
        false => not("the first line is not JSON".into()),
    })?;
    match probe {
        Probe { format, .. } if format != MAGIC => {
            Err(not("the first line is not a journal header".into()))
        }
        Probe { schema: 0, .. } => Err(not("schema 0 does not exist".into())),
        Probe { schema, .. } if schema > SCHEMA => Err(Error::Future {
            path: path.to_owned(),
            found: schema,
            known: SCHEMA,
        }),
        _ => serde_json::from_slice(line)
            .map_err(|error| not(format!("first line: {}", error_text::json(&error)))),
    }
}

/// The next piece of a file.
enum Piece<'a> {
    Line(&'a [u8]),
    /// The end of the file without a line feed.
    Tail(&'a [u8]),
    TooLong,
    End,
}

impl<'a> Piece<'a> {
    /// The bytes without the line feed; empty for a line that is too long.
    fn bytes(&self) -> &'a [u8] {
        match *self {
            Self::Line(bytes) | Self::Tail(bytes) => bytes,
            Self::TooLong | Self::End => &[],
        }
    }

    /// Length in the file, including the line feed.
    fn len(&self) -> usize {
        self.bytes().len() + usize::from(matches!(self, Self::Line(_)))
    }
}

struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self, longest: u64) -> io::Result<Piece<'_>> {
        self.buffer.clear();
        let read = self
            .input
            .by_ref()
            .take(longest)
            .read_until(b'\n', &mut self.buffer)?;
        Ok(match self.buffer.strip_suffix(b"\n") {
            Some(line) => Piece::Line(line),
            None if read == 0 => Piece::End,
            None if read as u64 == longest => Piece::TooLong,
            None => Piece::Tail(&self.buffer),
        })
    }
}

struct Reader {
    path: PathBuf,
    loaded: Loaded,
    /// Number of the current line, from 1.
    line: usize,
    skipped: usize,
    budget: usize,
}

impl Reader {
    fn new(path: &Path, header: Header, first: &Piece<'_>) -> Self {
        let loaded = Loaded {
            session: Session::new(header),
            notes: Vec::new(),
            fault: None,
            valid_len: first.len() as u64,
            unterminated: matches!(first, Piece::Tail(_)),
            ends_with_summary: false,
        };
        Self {
            path: path.to_owned(),
            loaded,
            line: 1,
            skipped: 0,
            budget: SETTINGS_BUDGET,
        }
    }

    fn take(&mut self, piece: Piece<'_>) {
        self.line += 1;
        let outcome = match piece {
            Piece::TooLong => Err(format!(
                "the line is longer than {} MiB",
                MAX_LINE_BYTES >> 20
            )),
            _ if piece.bytes().trim_ascii().is_empty() => Ok(()),
            _ => self.line(piece.bytes()),
        };
        match (outcome, &piece) {
            (Ok(()), _) => {
                self.loaded.valid_len += piece.len() as u64;
                self.loaded.unterminated = matches!(piece, Piece::Tail(_));
            }
            (Err(_), Piece::Tail(_)) => self
                .loaded
                .notes
                .push("the incomplete last line was dropped".into()),
            (Err(fault), _) => {
                self.loaded.fault = Some(Error::Broken {
                    path: self.path.clone(),
                    line: self.line,
                    fault,
                });
            }
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), String> {
        let line = match serde_json::from_slice::<JournalLine>(bytes) {
            Ok(line) => line,
            Err(error) => return self.unknown(bytes, &error),
        };
        self.check(&line)?;
        self.loaded.ends_with_summary = matches!(line, JournalLine::Summary(_));
        if let Err(note) = self.loaded.session.apply(line) {
            self.note(note.into());
        }
        Ok(())
    }

    /// Handles a line that does not parse: of an unknown kind, or damaged.
    fn unknown(&mut self, bytes: &[u8], error: &serde_json::Error) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
        }
        match serde_json::from_slice::<Tag>(bytes) {
            Ok(Tag { kind }) if !JournalLine::KINDS.contains(&&*kind) => {
                self.note(format!(
                    "unknown kind {:?}",
                    crate::safe_text::shorten(&kind, 40)
                ));
                Ok(())
            }
            _ => Err(error_text::json(error)),
        }
    }

    fn check(&mut self, line: &JournalLine) -> Result<(), String> {
        match line {
            JournalLine::Round(round) => {
                self.budget = self
                    .budget
                    .checked_sub(heap_bytes(&self.loaded.session.settings))
                    .ok_or("the settings of the rounds take too much memory")?;
                validate::round(round)
            }
            JournalLine::Settings(settings) => validate::settings(settings),
            JournalLine::Race(race) => validate::settings(&race.settings),
            JournalLine::Lens { lens, .. } => validate::lens(lens),
            JournalLine::End { end, .. } if !validate::is_duration(end.prefill.seconds) => {
                Err("invalid prefill time".into())
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, note: String) {
        self.skipped += 1;
        if self.skipped <= MAX_NOTES {
            self.loaded
                .notes
                .push(format!("line {} was skipped: {note}", self.line));
        }
    }

    fn finish(mut self) -> Loaded {
        if let Some(more) = self.skipped.checked_sub(MAX_NOTES).filter(|more| *more > 0) {
            self.loaded.notes.push(match more {
                1 => "1 more line was skipped".to_owned(),
                _ => format!("{more} more lines were skipped"),
            });
        }
        self.loaded
    }
}

/// Heap bytes that settings take.
fn heap_bytes(settings: &Settings) -> usize {
    let strings: usize = settings
        .stop_strings
        .iter()
        .map(|text| text.len() + size_of::<String>())
        .sum();
    strings + settings.stop_token_ids.len() * size_of::<u32>()
}
