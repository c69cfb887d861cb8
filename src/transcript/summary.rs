//! The summary of a journal in a list, read from both ends of its file.

use super::line::{Header, JournalLine, Totals};
use super::{Error, Result, Store, read};
use crate::safe_text;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Bytes at the end of a file searched for the summary line.
const TAIL: u64 = 16 << 10;
/// Characters of context on either side of a search hit.
const CONTEXT: usize = 40;

/// One session in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Summary {
    /// The file name without its extension.
    pub id: String,
    pub path: PathBuf,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds.
    pub modified_ms: u64,
    pub bytes: u64,
    #[serde(flatten)]
    pub totals: Totals,
    /// Why the file cannot be read. Then only id, path and size above are valid.
    pub fault: Option<String>,
}

impl Summary {
    /// The summary of the journal at `path`. Never fails: errors go to [`Summary::fault`].
    ///
    /// After a clean shutdown a journal ends with its totals, so only its first and last kilobytes are read. Damage
    /// in between shows up when it is opened.
    pub fn of(path: &Path) -> Self {
        let mut summary = Self {
            id: path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default(),
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

    /// accepted ÷ drafted over the whole session; `None` if nothing was drafted.
    pub fn acceptance_rate(&self) -> Option<f64> {
        let Totals {
            drafted, accepted, ..
        } = self.totals;
        crate::engine::decode::Stats {
            drafted,
            accepted,
            ..Default::default()
        }
        .acceptance_rate()
    }

    /// Creation time if known, else modification time, in Unix milliseconds; for sorting.
    pub fn sort_ms(&self) -> u64 {
        if self.created_ms == 0 {
            self.modified_ms
        } else {
            self.created_ms
        }
    }

    /// The fault without the file's path, for display next to its name.
    pub fn fault_beside_name(&self) -> Option<String> {
        let fault = self.fault.as_deref()?;
        let rest = fault
            .strip_prefix(&*self.path.to_string_lossy())
            .unwrap_or(fault);
        Some(match rest.strip_prefix(' ') {
            Some(said_of_it) => format!("it {said_of_it}"),
            None => rest.trim_start_matches([':', ',', ' ']).to_owned(),
        })
    }

    fn fill(&mut self) -> Result<()> {
        let mut file = read::open(&self.path)?;
        let about = file
            .metadata()
            .map_err(|error| Error::io(&self.path, error))?;
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
    let mut start = BufReader::new(file).take(read::MAX_HEADER_BYTES);
    start
        .read_until(b'\n', &mut line)
        .map_err(|error| Error::io(path, error))?;
    read::header(path, &line)
}

/// The totals in the last line, if it is a summary.
fn last_totals(file: &mut File, bytes: u64) -> Option<Totals> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL)))
        .ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let whole = tail.strip_suffix(b"\n")?;
    let last = whole.rsplit(|byte| *byte == b'\n').next()?;
    match serde_json::from_slice(last) {
        Ok(JournalLine::Summary(totals)) => Some(totals),
        _ => None,
    }
}

/// A session that matches a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub summary: Summary,
    /// The match with some context, on one line; empty if title, id or model match.
    pub excerpt: String,
}

impl Store {
    /// Sessions whose title, id, model or text contains `query`, ignoring case, in the order of [`Store::list`]. Files
    /// are read lazily, so that a caller can show hits as they are found and stop early.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn search(&self, query: &str) -> Result<impl Iterator<Item = Hit> + use<>> {
        let query = query.trim().to_lowercase();
        Ok(self
            .list()?
            .into_iter()
            .filter_map(move |summary| hit(summary, &query)))
    }
}

fn hit(summary: Summary, query: &str) -> Option<Hit> {
    let by_name = [&summary.totals.title, &summary.id, &summary.totals.model];
    if by_name
        .iter()
        .any(|name| name.to_lowercase().contains(query))
    {
        return Some(Hit {
            summary,
            excerpt: String::new(),
        });
    }
    let session = read::load(&summary.path).ok()?;
    let excerpt = session
        .turns
        .iter()
        .find_map(|turn| excerpt(&turn.content(), query))?;
    Some(Hit { summary, excerpt })
}

/// The first match of the lower-case `query` in `content`, with context.
fn excerpt(content: &str, query: &str) -> Option<String> {
    let at = content.to_lowercase().find(query)?;
    let (start, end) = (unlowered(content, at), unlowered(content, at + query.len()));
    let (before, after) = (&content[..start], &content[end..]);
    let from = before
        .char_indices()
        .rev()
        .nth(CONTEXT - 1)
        .map_or(0, |(far, _)| after_space(before, far));
    let to = after
        .char_indices()
        .nth(CONTEXT)
        .map_or(content.len(), |(far, _)| end + before_space(after, far));
    let dots = |cut: bool| if cut { "…" } else { "" };
    let words = safe_text::one_line(content[from..to].trim());
    Some(format!(
        "{}{words}{}",
        dots(from > 0),
        dots(to < content.len())
    ))
}

/// Maps byte `at` of `content.to_lowercase()` back to `content`: lower case may change the length of a letter.
fn unlowered(content: &str, at: usize) -> usize {
    let mut lower = 0;
    let longer = |c: char| c.to_lowercase().map(char::len_utf8).sum::<usize>();
    let reached = content.char_indices().find(|(_, c)| {
        let reached = lower >= at;
        lower += longer(*c);
        reached
    });
    reached.map_or(content.len(), |(start, _)| start)
}

/// The start of the first word after `far`, or `far` itself if no space follows.
fn after_space(text: &str, far: usize) -> usize {
    text[far..]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(far, |(at, c)| far + at + c.len_utf8())
}

/// The end of the last word before `far`, or `far` itself if no space precedes it.
fn before_space(text: &str, far: usize) -> usize {
    text[..far].rfind(char::is_whitespace).unwrap_or(far)
}
