//! What can go wrong with a journal, each with words that say what to do.

use std::{io, path::Path, path::PathBuf};

/// Result of everything in the transcript.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of reading, writing or finding a journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's own error is in the words, and so no source besides: whoever prints the chain would say it twice.
    #[error("{path}: {fault}")]
    Io { path: PathBuf, fault: io::Error },
    /// The file is no journal at all.
    #[error("{path} is not a skiplens journal: {fault}")]
    NotAJournal { path: PathBuf, fault: String },
    /// A line in the middle of a journal that cannot be what it claims to be.
    #[error(
        "{path}, line {line}: {fault}; `skiplens transcript show --salvage` reads what comes before it"
    )]
    Broken {
        path: PathBuf,
        line: usize,
        fault: String,
    },
    #[error(
        "{path} was written by a newer skiplens: it has journal schema {found}, and this program reads up to {known}; \
         update skiplens to open it"
    )]
    Future {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    #[error("{path} is open in another skiplens; close it there first")]
    InUse { path: PathBuf },
    #[error("{path} exists already; choose another name")]
    Exists { path: PathBuf },
    #[error("{path} was changed since it was saved from here; choose another name")]
    Changed { path: PathBuf },
    #[error(
        "{path} is a link; its file is left alone. Name the file itself, or go on in a copy by opening the link"
    )]
    Linked { path: PathBuf },
    #[error("{name:?} means the newest session, whatever it is called; choose another name")]
    Reserved { name: String },
    #[error("no session is called {name:?} in {folder}")]
    NotFound { name: String, folder: PathBuf },
    #[error("there is no session in {folder}")]
    None { folder: PathBuf },
    #[error("{name:?} fits {count} sessions; give more of the name")]
    Ambiguous { name: String, count: usize },
    #[error("{path} is not what `skiplens generate --json` or an export as JSON writes: {fault}")]
    Import { path: PathBuf, fault: String },
    #[error("there is no data folder on this system; set SKIPLENS_DATA_DIR to one")]
    NoDataFolder,
}

impl Error {
    /// What is wrong, where words beside it say already which file it is about.
    pub fn reason(&self) -> String {
        match self {
            Self::Io { fault, .. } => fault.to_string(),
            other => other.to_string(),
        }
    }

    /// A failed read or write of `path`.
    pub fn io(path: impl AsRef<Path>, fault: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            fault,
        }
    }
}
