//! The folder that holds the sessions: listing, finding and renaming.

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
/// Means the session that was written to last, whatever it is called.
pub const LAST: &str = "last";

/// The data folder. `sessions` holds the journals, `trash` those that were deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// In the user's [data folder](folders::data). Nothing is made on the disk.
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

    /// An id for a session that begins now: the time, and something that tells it from one of another program. Those
    /// of one program sort in the order in which they were made, however fast they came.
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

    /// All sessions, those that began last first, those of one moment by their ids. Broken ones are among them, with
    /// their fault; they began when they were last written to, for all that is known.
    pub fn list(&self) -> Result<Vec<Summary>> {
        list_in(&self.sessions())
    }

    /// The file that `name` means: a path, the id of a session or a part of one that fits no other, or [`LAST`]
    /// for the one that was written to last.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(name);
        // What can only be a path is one, there or not: opening it tells best what is wrong.
        if name.contains(std::path::is_separator) || (path.extension().is_some() && path.is_file())
        {
            return Ok(path.to_owned());
        }
        find_in(&self.sessions(), name)
    }

    /// The session that `name` means, see [`Store::find`].
    pub fn load(&self, name: &str) -> Result<Session> {
        read::load(&self.find(name)?)
    }

    /// Gives the journal at `path` a title. It must not be open elsewhere; one's own open journal takes
    /// [`Entry::Title`].
    pub fn rename(&self, path: &Path, title: &str) -> Result<()> {
        let (mut journal, _) = Journal::resume(path)?;
        journal.append(Entry::Title(title.trim().to_owned()))?;
        journal.close()
    }
}

/// Makes a folder that only its owner enters; one that exists stays as it is.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| Error::io(folder, error))
}

/// Journal files of a folder, the newest id first; none if there is no such folder.
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
    // Files come with the last id first, and sorting keeps that order in one moment.
    list.sort_by_key(|summary| Reverse(summary.begun_ms()));
    Ok(list)
}

/// When a file was written to last, and its name to decide where clocks cannot.
fn written(path: &Path) -> (Option<SystemTime>, PathBuf) {
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
        let last = files.into_iter().max_by_key(|path| written(path));
        return last.ok_or_else(|| Error::None {
            folder: folder.to_owned(),
        });
    }
    if let Some(exact) = files.iter().find(|path| stem(path) == name) {
        return Ok(exact.clone());
    }
    let fits: Vec<&PathBuf> = files
        .iter()
        .filter(|path| !name.is_empty() && stem(path).contains(name))
        .collect();
    match fits[..] {
        [] => Err(Error::NotFound {
            name: name.into(),
            folder: folder.to_owned(),
        }),
        [only] => Ok(only.clone()),
        _ => Err(Error::Ambiguous {
            name: name.into(),
            count: fits.len(),
        }),
    }
}
