//! What a list shows of a journal, read from the two ends of its file.

use super::line::{Header, Line, Totals};
use super::{Error, Result, Session, Store, read, store, text};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// How much of a file's end is searched for the line that sums it up.
const TAIL: u64 = 16 << 10;
/// Characters on either side of what a search found.
const AROUND: usize = 40;

/// One session of a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Name of the file without its ending.
    pub id: String,
    pub path: PathBuf,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds.
    pub modified_ms: u64,
    pub bytes: u64,
    #[serde(flatten)]
    pub totals: Totals,
    /// Why the file cannot be read; then nothing above but id, path and size is known.
    pub fault: Option<String>,
}

impl Summary {
    /// Summary of the journal at `path`. Never fails: what is wrong with the file becomes its fault.
    ///
    /// A journal that was closed in peace ends with its totals, so that only its first and last kilobytes are read.
    /// Damage in between shows when it is opened.
    pub fn of(path: &Path) -> Self {
        let mut summary = Self {
            id: path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
            path: path.to_owned(),
            created_ms: 0,
            modified_ms: 0,
            bytes: 0,
            totals: Totals::default(),
            fault: None,
        };
        if let Err(error) = summary.fill() {
            summary.fault = Some(error.to_string());
        }
        summary
    }

    /// accepted ÷ drafted over the whole session; none if nothing was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        let Totals { drafted, accepted, .. } = self.totals;
        crate::engine::decode::Stats { drafted, accepted, ..Default::default() }.acceptance_rate()
    }

    /// When it began, as far as that is known: in Unix milliseconds, for sorting.
    pub fn begun_ms(&self) -> u64 {
        if self.created_ms == 0 { self.modified_ms } else { self.created_ms }
    }

    fn fill(&mut self) -> Result<()> {
        let mut file = read::open(&self.path)?;
        let about = file.metadata().map_err(|error| Error::io(&self.path, error))?;
        self.bytes = about.len();
        self.modified_ms = about
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|age| u64::try_from(age.as_millis()).ok())
            .unwrap_or_default();
        self.created_ms = first_line(&self.path, &file)?.created_ms;
        self.totals = match last_totals(&mut file, self.bytes) {
            Some(totals) => totals,
            None => read::load(&self.path)?.totals(),
        };
        Ok(())
    }
}

fn first_line(path: &Path, file: &File) -> Result<Header> {
    let mut line = Vec::new();
    let mut start = BufReader::new(file).take(read::LONGEST_HEADER);
    start.read_until(b'\n', &mut line).map_err(|error| Error::io(path, error))?;
    read::header(path, &line)
}

/// The totals in the last line, if that is where they are.
fn last_totals(file: &mut File, bytes: u64) -> Option<Totals> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let whole = tail.strip_suffix(b"\n")?;
    let last = whole.rsplit(|byte| *byte == b'\n').next()?;
    match serde_json::from_slice(last) {
        Ok(Line::Summary(totals)) => Some(totals),
        _ => None,
    }
}

/// A session in which a search found something.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub summary: Summary,
    /// Where the words stand, with some text around, on one line; empty when the title alone fits.
    pub excerpt: String,
}

impl Store {
    /// Sessions whose title, id, model or text holds `query`, upper and lower case alike, the newest first. Files are
    /// read one by one as the iterator goes, so that a caller can show what is found so far and stop when it likes.
    pub fn search(&self, query: &str) -> Result<impl Iterator<Item = Hit> + use<>> {
        let query = query.trim().to_lowercase();
        let files = store::files_in(&self.sessions())?;
        Ok(files.into_iter().filter_map(move |path| hit(&path, &query)))
    }
}

fn hit(path: &Path, query: &str) -> Option<Hit> {
    let summary = Summary::of(path);
    let by_name = [&summary.totals.title, &summary.id, &summary.totals.model];
    if by_name.iter().any(|name| name.to_lowercase().contains(query)) {
        return Some(Hit { summary, excerpt: String::new() });
    }
    let session = read::load(path).ok()?;
    let excerpt = find_text(&session, query)?;
    Some(Hit { summary, excerpt })
}

/// The first place of the session's text that holds `query`, which is in lower case.
fn find_text(session: &Session, query: &str) -> Option<String> {
    session.turns.iter().find_map(|turn| {
        let lower = turn.content().to_lowercase();
        let at = lower.find(query)?;
        let from = lower[..at].char_indices().rev().nth(AROUND - 1).map_or(0, |(start, _)| start);
        let rest = &lower[from..];
        Some(text::one_line(text::shorten(rest, 2 * AROUND + query.chars().count()).trim()).into_owned())
    })
}
