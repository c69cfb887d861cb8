//! The settings file and scratch files.

use crate::app::Config;
use crate::folders;
use crate::transcript::{local_minutes, now_ms};
use color_eyre::Result;
use color_eyre::eyre::{WrapErr, bail, eyre};
use directories::ProjectDirs;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

fn dirs() -> Result<ProjectDirs> {
    folders::system().ok_or_else(|| eyre!("no home directory is known; set HOME"))
}

fn config_path() -> Result<PathBuf> {
    Ok(dirs()?.config_dir().join("config.toml"))
}

/// The settings file; the defaults where there is none. Fails on a file that cannot be understood, naming it.
pub fn load_config() -> Result<Config> {
    let Ok(path) = config_path() else {
        return Ok(Config::default());
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            toml::from_str(&text).wrap_err_with(|| format!("settings file {}", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Config::default()),
        Err(error) => Err(error).wrap_err_with(|| format!("settings file {}", path.display())),
    }
}

pub fn save_config(config: &Config) -> Result<()> {
    write(&config_path()?, &toml::to_string_pretty(config)?)
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

/// Where a picture goes: under the name that was given, with its ending; else under one that tells the time.
pub fn picture_path(name: Option<&str>) -> PathBuf {
    let time = || {
        format!(
            "skiplens-{}",
            local_minutes(now_ms()).replace([' ', ':'], "-")
        )
    };
    let path = PathBuf::from(name.map_or_else(time, str::to_owned));
    let named = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    if named {
        path
    } else {
        PathBuf::from(format!("{}.svg", path.display()))
    }
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
            opened => {
                return Ok((
                    path.clone(),
                    opened.wrap_err_with(|| path.display().to_string())?,
                ));
            }
        }
    }
    bail!("no file could be made in {}", folder.display())
}
