//! What was deleted: kept for a while, then gone.

use super::summary::Summary;
use super::{Error, Result, Store, journal, read, store};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a deleted session can be taken back.
pub const TRASH_KEEPS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How much is removed for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    pub sessions: usize,
    pub bytes: u64,
}

impl Store {
    /// Folder of the deleted journals.
    pub fn trash(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// All deleted sessions, the newest first.
    pub fn list_trash(&self) -> Result<Vec<Summary>> {
        store::list_in(&self.trash())
    }

    /// Moves the session `id` to the trash. [`Store::restore`] takes that back.
    pub fn delete(&self, id: &str) -> Result<PathBuf> {
        let from = store::find_in(&self.sessions(), id)?;
        if from.is_symlink() {
            return move_link_into(&self.trash(), &from);
        }
        let file = read::open(&from)?;
        journal::lock(&file, &from)?;
        touch(&from, &file)?;
        move_into(&self.trash(), &from)
    }

    /// Moves the session `id` back from the trash.
    pub fn restore(&self, id: &str) -> Result<PathBuf> {
        move_into(&self.sessions(), &store::find_in(&self.trash(), id)?)
    }

    /// Removes for good what was deleted at least `age` ago.
    pub fn empty_trash(&self, age: Duration) -> Result<Removed> {
        let old = self.old_trash(age)?;
        old.iter().try_for_each(|(path, _)| {
            fs::remove_file(path).map_err(|error| Error::io(path, error))
        })?;
        Ok(summed(&old))
    }

    /// What [`Store::empty_trash`] would remove.
    pub fn trash_older_than(&self, age: Duration) -> Result<Removed> {
        Ok(summed(&self.old_trash(age)?))
    }

    /// Files that were deleted at least `age` ago, with their sizes.
    fn old_trash(&self, age: Duration) -> Result<Vec<(PathBuf, u64)>> {
        let now = SystemTime::now();
        let old = |path: PathBuf| {
            let about = path.symlink_metadata().ok()?;
            let since = now
                .duration_since(about.modified().ok()?)
                .unwrap_or_default();
            (since >= age).then_some((path, about.len()))
        };
        Ok(store::files_in(&self.trash())?
            .into_iter()
            .filter_map(old)
            .collect())
    }
}

fn summed(files: &[(PathBuf, u64)]) -> Removed {
    Removed {
        sessions: files.len(),
        bytes: files.iter().map(|(_, bytes)| bytes).sum(),
    }
}

/// The time of a deleted file is that of its deletion: from then on its days in the trash count.
fn touch(path: &Path, file: &File) -> Result<()> {
    let now = SystemTime::now();
    let again = || OpenOptions::new().write(true).open(path)?.set_modified(now);
    file.set_modified(now)
        .or_else(|_| again())
        .map_err(|error| Error::io(path, error))
}

fn move_into(folder: &Path, from: &Path) -> Result<PathBuf> {
    let to = place_in(folder, from)?;
    fs::rename(from, &to).map_err(|error| Error::io(from, error))?;
    Ok(to)
}

/// Makes a link anew in another folder: so its days in the trash count, and the file behind it is left alone.
fn move_link_into(folder: &Path, from: &Path) -> Result<PathBuf> {
    let to = place_in(folder, from)?;
    let beside = from.parent().unwrap_or(Path::new(""));
    #[cfg(unix)]
    let make = std::os::unix::fs::symlink::<PathBuf, &PathBuf>;
    #[cfg(windows)]
    let make = std::os::windows::fs::symlink_file::<PathBuf, &PathBuf>;
    fs::read_link(from)
        .and_then(|target| make(beside.join(target), &to))
        .and_then(|()| fs::remove_file(from))
        .map_err(|error| Error::io(from, error))?;
    Ok(to)
}

/// The path of the same name in `folder`, which is made if need be. Fails if anything is there.
fn place_in(folder: &Path, from: &Path) -> Result<PathBuf> {
    store::make_folder(folder)?;
    let to = folder.join(from.file_name().unwrap_or_default());
    match to.symlink_metadata() {
        Ok(_) => Err(Error::Exists { path: to }),
        Err(_) => Ok(to),
    }
}
