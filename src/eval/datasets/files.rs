//! Finds the files of a split in a folder.

use super::rows::is_rows;
use crate::engine::{Error, Result};
use std::path::{Path, PathBuf};

/// The files of `split` at `path`: the file itself, or the matching files of a folder, in order of their names.
pub fn of_path(path: &Path, split: &str) -> Result<Vec<PathBuf>> {
    let about = std::fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !about.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Error::io(path, error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_rows(name))
        .collect();
    names.sort();
    let found = of_split(&names, split);
    if found.is_empty() {
        let has = match names.is_empty() {
            true => "no file with rows".into(),
            false => names.join(", "),
        };
        return Err(Error::Setting(format!(
            "{}: there is no {split} split; the folder has {has}",
            path.display()
        )));
    }
    Ok(found.into_iter().map(|name| path.join(name)).collect())
}

/// The paths in a repository that are files of `split`: `test.jsonl`, `data/test-00000-of-00002.parquet`,
/// `default/test/0000.parquet`. If there are several formats, takes the first by name.
pub fn of_split<'a>(names: &'a [String], split: &str) -> Vec<&'a String> {
    let holds =
        |name: &&String| is_rows(name) && name.split('/').any(|part| begins_with(part, split));
    let extension = |name: &String| {
        name.to_lowercase()
            .trim_end_matches(".gz")
            .rsplit('.')
            .next()
            .map(str::to_owned)
    };
    let all: Vec<&String> = names.iter().filter(holds).collect();
    let kind = all.first().and_then(|name| extension(name));
    all.into_iter()
        .filter(|name| extension(name) == kind)
        .collect()
}

/// Whether `part` is `split`, or starts with it as a word.
fn begins_with(part: &str, split: &str) -> bool {
    part.strip_prefix(split)
        .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}
