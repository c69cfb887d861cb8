//! The user's folders.

use directories::ProjectDirs;
use std::path::PathBuf;

/// Names the data folder, in place of the system's own.
pub const DATA_DIR: &str = "SKIPLENS_DATA_DIR";

/// Where sessions are kept and a model may be put, if the system has such a place. Nothing is made on the disk.
pub fn data() -> Option<PathBuf> {
    let named = std::env::var_os(DATA_DIR)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    named.or_else(|| system().map(|folders| folders.data_dir().to_owned()))
}

/// What the system has for programs' folders, whatever the environment names.
pub fn system() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "skiplens")
}
