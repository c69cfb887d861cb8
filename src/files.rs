//! Atomic file writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Max symbolic links followed before a path counts as a loop.
const MAX_LINKS: usize = 40;

/// Follows all symbolic links of `path`. The target need not exist.
///
/// # Errors
/// If a link cannot be read, or links form a loop.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(target);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Creates a file readable only by its owner.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if the path exists, even as a broken link; otherwise if writing fails.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let part = write_beside(path, bytes)?;
    // Unlike a rename, a hard link never replaces a file created in the meantime. Not every file system supports them.
    let done = match fs::hard_link(&part, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => fs::rename(&part, path),
        linked => linked,
    };
    // Fails after a rename, which leaves nothing to remove.
    drop(fs::remove_file(&part));
    done
}

/// Writes a file, replacing an existing one. Links are followed and kept, and an existing file keeps its permissions.
/// Devices and pipes are written to directly.
///
/// # Errors
/// If the file cannot be written. An existing file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = resolve(path)?;
    let existing = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => {
            return OpenOptions::new().write(true).open(&path)?.write_all(bytes);
        }
        metadata => metadata.ok(),
    };
    let part = write_beside(&path, bytes)?;
    let permit = |metadata: fs::Metadata| fs::set_permissions(&part, metadata.permissions());
    let done = existing
        .map_or(Ok(()), permit)
        .and_then(|()| fs::rename(&part, &path));
    if done.is_err() {
        drop(fs::remove_file(&part));
    }
    done
}

/// Writes and syncs a new temporary file in the folder of `path`.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let (part, mut file) = new_file(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_data());
    if written.is_err() {
        drop(fs::remove_file(&part));
    }
    written.map(|()| part)
}

fn new_file(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{count}.new", std::process::id()));
        let part = path.with_file_name(name);
        match options.open(&part) {
            // The name was left behind by a killed process with the same id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (part, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_replace_overwrites_an_existing_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, b"one").unwrap();
        let error = create(&path, b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(replace(folder.path(), b"").is_err());
        assert_eq!(names(folder.path()), ["a"], "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn replace_keeps_links_and_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/file"), "old").unwrap();
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(at("elsewhere/file"), mode).unwrap();
        symlink("elsewhere/file", at("near")).unwrap();
        symlink(at("near"), at("far")).unwrap();
        replace(&at("far"), b"new").unwrap();
        for name in ["near", "far"] {
            assert!(at(name).symlink_metadata().unwrap().is_symlink(), "{name}");
        }
        let file = at("elsewhere/file");
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(&at("elsewhere")), ["file"]);

        symlink("elsewhere/missing", at("broken")).unwrap();
        let error = create(&at("broken"), b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        replace(&at("broken"), b"made").unwrap();
        assert_eq!(fs::read(at("elsewhere/missing")).unwrap(), b"made");

        symlink("round", at("round")).unwrap();
        assert!(replace(&at("round"), b"").is_err());
        replace(Path::new("/dev/null"), b"gone").unwrap();
    }
}
