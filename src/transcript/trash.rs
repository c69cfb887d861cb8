//! The trash: deleted sessions, removed permanently after 30 days.

use super::summary::Summary;
use super::{Error, Result, Store, journal, read, store};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long a deleted session can be restored.
pub const TRASH_KEEPS: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The amount that was, or would be, removed permanently.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    pub sessions: usize,
    pub bytes: u64,
}

impl Store {
    /// The folder of deleted journals.
    pub fn trash(&self) -> PathBuf {
        self.root().join("trash")
    }

    /// All deleted sessions, newest first.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub fn list_trash(&self) -> Result<Vec<Summary>> {
        store::list_in(&self.trash())
    }

    /// Moves the session `id` to the trash; see [`Store::restore`]. Returns its new path.
    ///
    /// # Errors
    /// If there is no such session, it is open in another program, or it cannot be moved.
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

    /// Restores the session `id` from the trash. Returns its new path.
    ///
    /// # Errors
    /// If there is no such session in the trash, or it cannot be moved.
    pub fn restore(&self, id: &str) -> Result<PathBuf> {
        move_into(&self.sessions(), &store::find_in(&self.trash(), id)?)
    }

    /// Removes sessions that were deleted at least `age` ago.
    ///
    /// # Errors
    /// If the trash cannot be read or a file cannot be removed.
    pub fn empty_trash(&self, age: Duration) -> Result<Removed> {
        let old = self.old_trash(age)?;
        old.iter().try_for_each(|(path, _)| {
            fs::remove_file(path).map_err(|error| Error::io(path, error))
        })?;
        Ok(summed(&old))
    }

    /// What [`Store::empty_trash`] would remove.
    ///
    /// # Errors
    /// If the trash cannot be read.
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

/// Sets the modification time of a deleted file to now, the start of its time in the trash.
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

/// Recreates a symbolic link in `folder`. The modification time of the link itself is the start of its time in the
/// trash. Its target is not touched.
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

/// The path with the same name in `folder`, which is created if missing. Fails if that path exists.
fn place_in(folder: &Path, from: &Path) -> Result<PathBuf> {
    store::make_folder(folder)?;
    let to = folder.join(from.file_name().unwrap_or_default());
    match to.symlink_metadata() {
        Ok(_) => Err(Error::Exists { path: to }),
        Err(_) => Ok(to),
    }
}
