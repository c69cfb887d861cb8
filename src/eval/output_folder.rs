//! The folder of results: files named by command and hash, so that no run overwrites another.

use crate::engine::{Error, Result};
use crate::{error_text, files};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The head of every result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub command: String,
    /// The hash of everything that determines the run.
    pub hash: String,
    /// Whether the run is complete.
    pub complete: bool,
}

/// Where a run starts or resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    /// Whether it has an unfinished run.
    pub begun: bool,
}

/// The place in `folder`, which is created if missing, for the run of `command` with this hash: that of an unfinished
/// run, else a new one. `name_in` names the file of a place with the [`Header`].
///
/// # Errors
/// If the folder cannot be used, or a file with this name belongs to another run.
pub fn place(
    folder: &Path,
    command: &str,
    hash: &str,
    ending: &str,
    header_of: impl Fn(&Path) -> PathBuf,
) -> Result<Place> {
    std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    for nth in 1.. {
        let number = match nth {
            1 => String::new(),
            n => format!("-{n}"),
        };
        let path = folder.join(format!("{command}-{hash}{number}{ending}"));
        if path.symlink_metadata().is_err() {
            return Ok(Place { path, begun: false });
        }
        let file = header_of(&path);
        let header: Header = read(&file)?;
        if header.command != command || header.hash != hash {
            return Err(Error::Setting(format!(
                "{} belongs to another run ({} {}); choose another --output-dir",
                file.display(),
                header.command,
                header.hash
            )));
        }
        if !header.complete {
            return Ok(Place { path, begun: true });
        }
    }
    Err(Error::Setting(format!("{} is full", folder.display())))
}

/// Reads a JSON file written by [`write`].
///
/// # Errors
/// If it cannot be read or parsed.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::Setting(format!(
            "{} was not written by this version of skiplens: {}; move it away, or choose another folder",
            path.display(),
            error_text::json(&error)
        ))
    })
}

/// Writes a JSON file atomically, replacing an existing one.
///
/// # Errors
/// If it cannot be written; an existing file is then unchanged.
pub fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| {
        Error::Setting(format!("{}: {}", path.display(), error_text::json(&error)))
    })?;
    bytes.push(b'\n');
    files::replace(path, &bytes).map_err(|error| Error::io(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_runs_are_resumed_and_finished_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made/here");
        let find = |hash: &str| place(&folder, "benchmark", hash, ".json", Path::to_owned);
        let header = |hash: &str, complete| Header {
            command: "benchmark".into(),
            hash: hash.into(),
            complete,
        };
        let first = find("ab").unwrap();
        assert!(!first.begun && first.path.ends_with("benchmark-ab.json"));
        write(&first.path, &header("ab", false)).unwrap();
        assert_eq!(
            find("ab").unwrap(),
            Place {
                begun: true,
                ..first.clone()
            }
        );
        write(&first.path, &header("ab", true)).unwrap();
        let second = find("ab").unwrap();
        assert!(!second.begun && second.path.ends_with("benchmark-ab-2.json"));
        write(&second.path, &header("ab", false)).unwrap();
        assert!(find("ab").unwrap().begun);
        assert!(!find("cd").unwrap().begun, "other settings, another run");
        write(&first.path, &header("cd", true)).unwrap();
        let told = find("ab").unwrap_err().to_string();
        assert!(told.contains("belongs to another run"), "{told}");
        std::fs::write(&first.path, "{").unwrap();
        assert!(find("ab").is_err(), "and what is none of ours stays");
        assert_eq!(std::fs::read(&first.path).unwrap(), b"{");
    }
}
