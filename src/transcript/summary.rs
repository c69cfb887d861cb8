//! What a list shows of a journal, read from the two ends of its file.

use super::line::{Header, Line, Totals};
use super::{Error, Result, Store, read, text};
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

    /// accepted ÷ drafted over the whole session; none if nothing was drafted.
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

    /// When it began, as far as that is known: in Unix milliseconds, for sorting.
    pub fn begun_ms(&self) -> u64 {
        if self.created_ms == 0 {
            self.modified_ms
        } else {
            self.created_ms
        }
    }

    /// Its fault where the file is named beside it already.
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
    let mut start = BufReader::new(file).take(read::LONGEST_HEADER);
    start
        .read_until(b'\n', &mut line)
        .map_err(|error| Error::io(path, error))?;
    read::header(path, &line)
}

/// The totals in the last line, if that is where they are.
fn last_totals(file: &mut File, bytes: u64) -> Option<Totals> {
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL)))
        .ok()?;
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
    /// Where the words stand, with some text around, on one line; empty where a name fits.
    pub excerpt: String,
}

impl Store {
    /// Sessions whose title, id, model or text holds `query`, upper and lower case alike, in the order of
    /// [`Store::list`]. Texts are read one by one as the iterator goes, so that a caller can show what is found so far
    /// and stop when it likes.
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

/// The first place of `content` that holds `query`, which is in lower case, with the words around it.
fn excerpt(content: &str, query: &str) -> Option<String> {
    let at = content.to_lowercase().find(query)?;
    let (start, end) = (unlowered(content, at), unlowered(content, at + query.len()));
    let (before, behind) = (&content[..start], &content[end..]);
    let from = before
        .char_indices()
        .rev()
        .nth(AROUND - 1)
        .map_or(0, |(far, _)| after_space(before, far));
    let to = behind
        .char_indices()
        .nth(AROUND)
        .map_or(content.len(), |(far, _)| end + before_space(behind, far));
    let dots = |cut: bool| if cut { "…" } else { "" };
    let words = text::one_line(content[from..to].trim());
    Some(format!(
        "{}{words}{}",
        dots(from > 0),
        dots(to < content.len())
    ))
}

/// Where in `content` the byte `at` of its lower case comes from: letters may grow or shrink.
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

/// The start of the first word behind `far`, or `far` itself where one long word fills all.
fn after_space(text: &str, far: usize) -> usize {
    text[far..]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(far, |(at, c)| far + at + c.len_utf8())
}

/// The end of the last word before `far`, or `far` itself.
fn before_space(text: &str, far: usize) -> usize {
    text[..far].rfind(char::is_whitespace).unwrap_or(far)
}
