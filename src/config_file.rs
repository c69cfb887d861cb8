//! The settings file: read at startup, edited in place when a setting changes.

mod parse;

use crate::app::{Config, ConfigChange};
use crate::{files, folders};
use color_eyre::Result;
use color_eyre::eyre::{WrapErr, eyre};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts to lock the folder while another instance writes, and the wait between them.
const TRIES: usize = 300;
const WAIT: Duration = Duration::from_millis(10);

fn config_path() -> Result<PathBuf> {
    let folders = folders::system();
    let folders = folders.ok_or_else(|| eyre!("no home directory is known; set HOME"))?;
    Ok(folders.config_dir().join("config.toml"))
}

/// Reads the settings file; returns the defaults if there is none.
///
/// # Errors
/// If the file cannot be read or parsed. The error names it.
pub fn load() -> Result<Config> {
    match config_path() {
        Ok(path) => parse(&path, &read(&path)?),
        Err(_) => Ok(Config::default()),
    }
}

/// Changes one setting in the settings file and leaves the rest of the file unchanged. The file is read again first, so
/// that changes by another instance or an editor are kept. Returns the new settings.
///
/// # Errors
/// As [`load`], and if the file cannot be written.
pub fn change(change: &ConfigChange) -> Result<Config> {
    change_at(&config_path()?, change)
}

fn change_at(path: &Path, change: &ConfigChange) -> Result<Config> {
    let file = files::resolve(path).wrap_err_with(|| named(path))?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).wrap_err_with(|| named(path))?;
    }
    let _lock = file.parent().and_then(lock);
    let text = change
        .edit(&read(&file)?)
        .map_err(|fault| eyre!("{}: {fault}", named(path)))?;
    files::replace(&file, text.as_bytes()).wrap_err_with(|| named(path))?;
    parse(path, &text)
}

fn named(path: &Path) -> String {
    format!("settings file {}", path.display())
}

/// The text of the file; empty if it does not exist. Only regular files are read: a pipe would block.
fn read(path: &Path) -> Result<String> {
    let text = match fs::metadata(path) {
        Ok(about) if !about.is_file() => Err(io::Error::other("not a regular file")),
        Ok(_) => fs::read_to_string(path),
        Err(error) => Err(error),
    };
    match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text.wrap_err_with(|| named(path)),
    }
}

/// Parses the settings in `text`. Errors take one line and name the line in the file.
fn parse(path: &Path, text: &str) -> Result<Config> {
    parse::parse(text).map_err(|fault| {
        let line = fault.line.map(|line| format!(", line {line}"));
        eyre!(
            "{}{}: {}",
            named(path),
            line.unwrap_or_default(),
            fault.message
        )
    })
}

/// Locks the folder against other instances until the result is dropped. If locking fails or times out, the caller
/// proceeds without: only a change in the same moment could be lost.
fn lock(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(WAIT),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Preset, ThemeName};

    #[cfg(unix)]
    #[test]
    fn editing_a_link_edits_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&file, "# mine\nmouse = false\n").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let config = change_at(&link, &ConfigChange::Theme(ThemeName::Light)).unwrap();
        assert_eq!((config.theme, config.mouse), (ThemeName::Light, false));
        assert!(link.symlink_metadata().unwrap().is_symlink());
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, "# mine\nmouse = false\ntheme = \"light\"\n");
    }

    /// Even if several instances write at once.
    #[test]
    fn instances_keep_each_others_presets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.toml");
        std::thread::scope(|scope| {
            for instance in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for preset in 0..10 {
                        let name = format!("{instance}-{preset}");
                        let keep = ConfigChange::KeepPreset(name, Preset::default());
                        change_at(path, &keep).unwrap();
                    }
                });
            }
        });
        let config = parse(&path, &read(&path).unwrap()).unwrap();
        assert_eq!(config.presets.len(), 40);
    }

    #[test]
    fn errors_name_the_line() {
        let fault = parse(Path::new("x"), "mouse = true\n\nmouse = ]\n").unwrap_err();
        let told = format!("{fault:#}");
        assert!(
            told.starts_with("settings file x, line 3: ") && !told.contains('\n'),
            "{told}"
        );
    }

    #[test]
    fn an_invalid_file_is_reported_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "theme = ").unwrap();
        let fault = change_at(&path, &ConfigChange::Mouse(true)).unwrap_err();
        assert!(format!("{fault:#}").contains("config.toml"), "{fault:#}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "theme = ");
        assert!(read(folder.path()).is_err());
    }
}
