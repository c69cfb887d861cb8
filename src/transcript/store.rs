//! The folder of saved sessions: listing, finding and renaming.

use super::entry::Entry;
use super::summary::Summary;
use super::{Error, Journal, Result, Session, clock, read};
use crate::folders;
use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const EXTENSION: &str = "jsonl";
/// The name of the most recently written session.
pub const LAST: &str = "last";

/// The data folder. `sessions` holds the journals, `trash` the deleted ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in the user's [data folder](folders::data). Creates nothing on disk.
    ///
    /// # Errors
    /// [`Error::NoDataFolder`] if the system has none.
    pub fn open() -> Result<Self> {
        Ok(Self::at(folders::data().ok_or(Error::NoDataFolder)?))
    }

    /// The store in the folder `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The data folder.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the journals.
    pub fn sessions(&self) -> PathBuf {
        self.root.join("sessions")
    }

    /// File of the session `id`.
    pub fn path_of(&self, id: &str) -> PathBuf {
        self.sessions().join(format!("{id}.{EXTENSION}"))
    }

    /// An id for a new session: the time and a tag of this process. Ids of one process sort by creation, even within a
    /// millisecond.
    pub(super) fn new_id(&self, now: u64) -> String {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let after = |last: u64| now.max(last.saturating_add(1));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            Some(after(last))
        });
        let mark = std::process::id().wrapping_mul(0x9e37) & 0xf_ffff;
        format!(
            "{}-{mark:05x}",
            clock::sortable(after(last.unwrap_or_default()))
        )
    }

    /// All sessions, newest first; ids break ties. Broken ones are included with their fault, sorted by modification
    /// time.
    ///
    /// # Errors
    /// If the folder cannot be read. A missing folder is empty.
    pub fn list(&self) -> Result<Vec<Summary>> {
        list_in(&self.sessions())
    }

    /// The file that `name` refers to: a path, a session id or an unambiguous part of one, or [`LAST`] for the most
    /// recently written session.
    ///
    /// # Errors
    /// If no session or several match.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(name);
        // A name that can only be a path is treated as one, even if the file is missing: opening it gives the best
        // error.
        if name.contains(std::path::is_separator) || (path.extension().is_some() && path.is_file())
        {
            return Ok(path.to_owned());
        }
        find_in(&self.sessions(), name)
    }

    /// Loads the session that `name` refers to, see [`Store::find`].
    ///
    /// # Errors
    /// As [`Store::find`] and [`super::load`].
    pub fn load(&self, name: &str) -> Result<Session> {
        read::load(&self.find(name)?)
    }

    /// Sets the title of the journal at `path`. For the journal that is open in this process, append [`Entry::Title`]
    /// instead.
    ///
    /// # Errors
    /// As [`Journal::resume`] and [`Journal::append`].
    pub fn rename(&self, path: &Path, title: &str) -> Result<()> {
        let (mut journal, _) = Journal::resume(path)?;
        journal.append(Entry::Title(title.trim().to_owned()))?;
        journal.close()
    }
}

/// Creates a folder accessible only to its owner. An existing one is left unchanged.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| Error::io(folder, error))
}

/// The journal files of a folder, newest id first; empty if the folder does not exist.
pub(super) fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder, error)),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == EXTENSION)
        })
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    Ok(files)
}

pub(super) fn list_in(folder: &Path) -> Result<Vec<Summary>> {
    let mut list: Vec<Summary> = files_in(folder)?
        .iter()
        .map(|path| Summary::of(path))
        .collect();
    // The files are sorted by id, last first, and a stable sort keeps that order among equal times.
    list.sort_by_key(|summary| Reverse(summary.sort_ms()));
    Ok(list)
}

/// The modification time of a file, with its path to break ties.
fn modified(path: &Path) -> (Option<SystemTime>, PathBuf) {
    (
        path.metadata().and_then(|about| about.modified()).ok(),
        path.to_owned(),
    )
}

pub(super) fn find_in(folder: &Path, name: &str) -> Result<PathBuf> {
    let files = files_in(folder)?;
    let stem = |path: &PathBuf| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    if name == LAST {
        let last = files.into_iter().max_by_key(|path| modified(path));
        return last.ok_or_else(|| Error::None {
            folder: folder.to_owned(),
        });
    }
    if let Some(exact) = files.iter().find(|path| stem(path) == name) {
        return Ok(exact.clone());
    }
    let matches: Vec<&PathBuf> = files
        .iter()
        .filter(|path| !name.is_empty() && stem(path).contains(name))
        .collect();
    match matches[..] {
        [] => Err(Error::NotFound {
            name: name.into(),
            folder: folder.to_owned(),
        }),
        [only] => Ok(only.clone()),
        _ => Err(Error::Ambiguous {
            name: name.into(),
            count: matches.len(),
        }),
    }
}
