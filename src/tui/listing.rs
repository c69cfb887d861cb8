//! Lists the files of a folder, to complete a path.

use crate::app::{Folder, FolderEntry};
use crate::folders::expand_home;
use std::fs;

/// Max entries read: a folder may have any number.
const MAX: usize = 2000;

/// The files of the folder named in the prompt, folders first; empty if it cannot be read.
pub fn folder(path: String) -> Folder {
    let place = match path.as_str() {
        "" => ".".into(),
        written => expand_home(written),
    };
    let read = fs::read_dir(place).into_iter().flatten().flatten();
    let mut entries: Vec<FolderEntry> = read
        .take(MAX)
        .filter_map(|entry| {
            Some(FolderEntry {
                name: entry.file_name().into_string().ok()?,
                // Follows links, unlike the entry's own type.
                is_folder: fs::metadata(entry.path()).is_ok_and(|about| about.is_dir()),
            })
        })
        .collect();
    entries.sort_by(|a, b| (!a.is_folder, &a.name).cmp(&(!b.is_folder, &b.name)));
    Folder { path, entries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first_and_a_missing_one_is_empty() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a.gguf"), "").unwrap();
        fs::create_dir(place.path().join("z")).unwrap();
        let listed = folder(format!("{}/", place.path().display()));
        let names: Vec<(&str, bool)> = listed
            .entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.is_folder))
            .collect();
        assert_eq!(names, [("z", true), ("a.gguf", false)]);
        assert!(folder("/no/such/folder/".into()).entries.is_empty());
    }
}
