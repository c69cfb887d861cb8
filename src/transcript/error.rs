//! Errors of journals. Their messages say what to do.

use crate::error_text;
use std::{io, path::Path, path::PathBuf};

/// The result type of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of reading, writing or finding a journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message includes the system's error, which is therefore not a source: printing the chain would repeat it.
    #[error("{path}: {}", error_text::io(fault))]
    Io { path: PathBuf, fault: io::Error },
    /// The file is not a journal.
    #[error("{path} is not a skiplens journal: {fault}")]
    NotAJournal { path: PathBuf, fault: String },
    /// A complete line of a journal is damaged.
    #[error(
        "{path}, line {line}: {fault}; `skiplens transcript show --salvage` shows the session up to that line"
    )]
    Broken {
        path: PathBuf,
        line: usize,
        fault: String,
    },
    #[error(
        "{path} was written by a newer skiplens: it has journal schema {found}, and this version reads up to {known}; \
         update skiplens to open it"
    )]
    Future {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    #[error("{path} is open in another skiplens; close it there first")]
    InUse { path: PathBuf },
    #[error("{path} already exists; choose another name")]
    Exists { path: PathBuf },
    #[error("{path} has changed since it was saved; choose another name")]
    Changed { path: PathBuf },
    #[error(
        "{path} is a symbolic link and is not written to; name its target, or open the link to continue in a copy"
    )]
    Linked { path: PathBuf },
    #[error(
        "{path} is of a format that is not written here; use .jsonl for a session, or .md, .html, .ans, .svg, .csv or .json for an export"
    )]
    Format { path: PathBuf },
    #[error("{name:?} always stands for the newest session; choose another name")]
    Reserved { name: String },
    #[error("no session named {name:?} in {folder}")]
    NotFound { name: String, folder: PathBuf },
    #[error("no sessions in {folder}")]
    None { folder: PathBuf },
    #[error("{name:?} matches {count} sessions; give more of the name")]
    Ambiguous { name: String, count: usize },
    #[error("{path} is not output of `skiplens generate --json` or a JSON export: {fault}")]
    Import { path: PathBuf, fault: String },
    #[error("this system has no data folder; set SKIPLENS_DATA_DIR")]
    NoDataFolder,
}

impl Error {
    /// The message without the path, if shown next to it.
    pub fn reason(&self) -> String {
        match self {
            Self::Io { fault, .. } => error_text::io(fault),
            other => other.to_string(),
        }
    }

    /// An I/O error on `path`.
    pub fn io(path: impl AsRef<Path>, fault: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            fault,
        }
    }
}
