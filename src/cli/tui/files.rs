//! The settings file and saved sessions.

use crate::app::{Config, Session};
use color_eyre::Result;
use color_eyre::eyre::{WrapErr, bail, eyre};
use directories::ProjectDirs;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

fn dirs() -> Result<ProjectDirs> {
    ProjectDirs::from("", "", "skiplens").ok_or_else(|| eyre!("no home directory is known; set HOME"))
}

/// Where saved sessions lie.
pub fn sessions_dir() -> Result<PathBuf> {
    Ok(dirs()?.data_dir().join("sessions"))
}

fn config_path() -> Result<PathBuf> {
    Ok(dirs()?.config_dir().join("config.toml"))
}

/// The settings file; the defaults where there is none. Fails on a file that cannot be understood, naming it.
pub fn load_config() -> Result<Config> {
    let Ok(path) = config_path() else { return Ok(Config::default()) };
    match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).wrap_err_with(|| format!("settings file {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error).wrap_err_with(|| format!("settings file {}", path.display())),
    }
}

pub fn save_config(config: &Config) -> Result<()> {
    write(&config_path()?, &toml::to_string_pretty(config)?)
}

/// Save a session under a name; gives back where.
pub fn save_session(name: &str, session: &Session) -> Result<PathBuf> {
    let path = session_path(name)?;
    write(&path, &serde_json::to_string(session)?)?;
    Ok(path)
}

pub fn load_session(name: &str) -> Result<Session> {
    let path = session_path(name)?;
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!("there is no session {name}"),
        read => read.wrap_err_with(|| path.display().to_string())?,
    };
    serde_json::from_str(&text).wrap_err_with(|| format!("{} is not a session", path.display()))
}

/// A name must not lead out of the folder.
fn session_path(name: &str) -> Result<PathBuf> {
    let fits = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    if name.starts_with('.') || name.is_empty() || !name.chars().all(fits) {
        bail!("`{name}` cannot be a name; use letters, digits, `-`, `_` and `.`");
    }
    Ok(sessions_dir()?.join(format!("{name}.json")))
}

/// Write a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let name = || path.display().to_string();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).wrap_err_with(name)?;
    }
    let part = path.with_extension("part");
    fs::write(&part, text).wrap_err_with(name)?;
    fs::rename(&part, path).wrap_err_with(name)
}

/// A new file that nobody else reads, for an editor.
pub fn scratch() -> Result<(PathBuf, File)> {
    let folder = std::env::temp_dir();
    for attempt in 0..100 {
        let path = folder.join(format!("skiplens-{}-{attempt}.md", std::process::id()));
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            opened => return Ok((path.clone(), opened.wrap_err_with(|| path.display().to_string())?)),
        }
    }
    bail!("no file could be made in {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert!(session_path("my chat-1").is_ok());
        for name in ["", "..", "../x", "a/b", ".hidden"] {
            assert!(session_path(name).is_err(), "{name}");
        }
    }
}
