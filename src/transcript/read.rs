//! Journal files → sessions. Files are foreign: whatever they hold gives a session or an error, never a panic, and
//! takes memory in proportion to the file.

use super::check;
use super::line::{Header, Line, MAGIC, SCHEMA};
use super::{Error, Result, Session};
use crate::engine::decode::Settings;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read; what a user pastes and a round with every layer's word stay far below.
const LONGEST_LINE: u64 = 64 << 20;
/// Longest first line.
pub const LONGEST_HEADER: u64 = 64 << 10;
/// Rounds repeat the settings in memory. A small file with long stop strings could so fill it; this many bytes of
/// them are let through.
const SETTINGS_BUDGET: usize = 256 << 20;
/// Notes beyond this many are counted only.
const MOST_NOTES: usize = 20;

/// What a file held.
#[derive(Debug)]
pub struct Loaded {
    pub session: Session,
    /// What was skipped or mended on the way, for people.
    pub notes: Vec<String>,
    /// Why reading ended before the end of the file.
    pub fault: Option<Error>,
    /// Bytes from the start of the file that hold whole lines: what is behind is the torn end of a killed program.
    pub whole: u64,
    /// Whether the last whole line lacks its line feed.
    pub unterminated: bool,
    /// Whether the last line sums up all before it.
    pub summed_up: bool,
}

/// The session in the journal at `path`. Any fault but a torn end is an error.
pub fn load(path: &Path) -> Result<Session> {
    let loaded = salvage(path)?;
    loaded.fault.map_or(Ok(loaded.session), Err)
}

/// As much of the journal at `path` as can be read.
pub fn salvage(path: &Path) -> Result<Loaded> {
    read(path, open(path)?)
}

/// Opens a plain file; anything else (a folder, a pipe that would block) is refused.
pub fn open(path: &Path) -> Result<File> {
    let kind = fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !kind.is_file() {
        return Err(Error::io(
            path,
            io::Error::new(io::ErrorKind::InvalidInput, "this is not a file"),
        ));
    }
    File::open(path).map_err(|error| Error::io(path, error))
}

/// As [`salvage`], from an open file; `path` is for messages only.
pub fn read(path: &Path, file: impl Read) -> Result<Loaded> {
    let mut lines = Lines {
        input: BufReader::new(file),
        buffer: Vec::new(),
    };
    let first = lines
        .next(LONGEST_HEADER)
        .map_err(|error| Error::io(path, error))?;
    let header = header(path, first.bytes())?;
    let mut reader = Reader::new(path, header, &first);
    while reader.loaded.fault.is_none() {
        match lines.next(LONGEST_LINE) {
            Ok(Piece::End) => break,
            Ok(piece) => reader.take(piece),
            Err(error) => reader.loaded.fault = Some(Error::io(path, error)),
        }
    }
    Ok(reader.finish())
}

/// The header in `line`, or why it is none.
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
        return Err(not("it is empty".into()));
    }
    let probe: Probe = serde_json::from_slice(line).map_err(|error| match error.is_data() {
        true => not(format!("its first line: {error}")),
        false => not("its first line is not JSON".into()),
    })?;
    match probe {
        Probe { format, .. } if format != MAGIC => {
            Err(not("its first line is not a session's".into()))
        }
        Probe { schema: 0, .. } => Err(not("it has schema 0".into())),
        Probe { schema, .. } if schema > SCHEMA => Err(Error::Future {
            path: path.to_owned(),
            found: schema,
            known: SCHEMA,
        }),
        _ => serde_json::from_slice(line).map_err(|error| not(format!("its first line: {error}"))),
    }
}

/// What the next bytes of a file are.
enum Piece<'a> {
    Line(&'a [u8]),
    /// The end of the file without a line feed.
    Tail(&'a [u8]),
    TooLong,
    End,
}

impl<'a> Piece<'a> {
    /// The bytes, without the line feed; none of a line that is too long.
    fn bytes(&self) -> &'a [u8] {
        match *self {
            Self::Line(bytes) | Self::Tail(bytes) => bytes,
            Self::TooLong | Self::End => &[],
        }
    }

    /// Bytes in the file, with the line feed.
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
    /// Number of the line at hand, from 1.
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
            whole: first.len() as u64,
            unterminated: matches!(first, Piece::Tail(_)),
            summed_up: false,
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
                LONGEST_LINE >> 20
            )),
            _ if piece.bytes().trim_ascii().is_empty() => Ok(()),
            _ => self.line(piece.bytes()),
        };
        match (outcome, &piece) {
            (Ok(()), _) => {
                self.loaded.whole += piece.len() as u64;
                self.loaded.unterminated = matches!(piece, Piece::Tail(_));
            }
            (Err(_), Piece::Tail(_)) => self
                .loaded
                .notes
                .push("the torn last line was dropped".into()),
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
        let line = match serde_json::from_slice::<Line>(bytes) {
            Ok(line) => line,
            Err(error) => return self.unknown(bytes, &error),
        };
        self.check(&line)?;
        self.loaded.summed_up = matches!(line, Line::Summary(_));
        if let Err(note) = self.loaded.session.apply(line) {
            self.note(note.into());
        }
        Ok(())
    }

    /// A line that is none of this program's: of a kind unknown to it, or broken.
    fn unknown(&mut self, bytes: &[u8], error: &serde_json::Error) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow)]
            kind: Cow<'a, str>,
        }
        match serde_json::from_slice::<Tag>(bytes) {
            Ok(Tag { kind }) if !Line::KINDS.contains(&&*kind) => {
                self.note(format!(
                    "an entry of the unknown kind {:?}",
                    super::text::shorten(&kind, 40)
                ));
                Ok(())
            }
            _ => Err(error.to_string()),
        }
    }

    fn check(&mut self, line: &Line) -> Result<(), String> {
        match line {
            Line::Round(round) => {
                self.budget = self
                    .budget
                    .checked_sub(weight(&self.loaded.session.settings))
                    .ok_or("the settings of the rounds are too large to be real")?;
                check::round(round)
            }
            Line::Settings(settings) => check::settings(settings),
            Line::Lens { lens, .. } => check::lens(lens),
            Line::End { end, .. } if !check::is_duration(end.prefill.seconds) => {
                Err("a prefill took an impossible time".into())
            }
            _ => Ok(()),
        }
    }

    fn note(&mut self, note: String) {
        self.skipped += 1;
        if self.skipped <= MOST_NOTES {
            self.loaded
                .notes
                .push(format!("line {} was skipped: {note}", self.line));
        }
    }

    fn finish(mut self) -> Loaded {
        if let Some(more) = self
            .skipped
            .checked_sub(MOST_NOTES)
            .filter(|more| *more > 0)
        {
            self.loaded
                .notes
                .push(format!("and {more} lines more were skipped"));
        }
        self.loaded
    }
}

/// Bytes that settings take besides their own size.
fn weight(settings: &Settings) -> usize {
    let strings: usize = settings
        .stop_strings
        .iter()
        .map(|text| text.len() + size_of::<String>())
        .sum();
    strings + settings.stop_token_ids.len() * size_of::<u32>()
}
