//! The user's folders.

use directories::ProjectDirs;
use std::path::PathBuf;

/// Environment variable that overrides the data folder.
pub const DATA_DIR: &str = "SKIPLENS_DATA_DIR";

/// The data folder, for sessions and optionally a model; `None` if the system has none. Creates nothing on disk.
pub fn data() -> Option<PathBuf> {
    let overridden = std::env::var_os(DATA_DIR)
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from);
    overridden.or_else(|| system().map(|folders| folders.data_dir().to_owned()))
}

/// The cache folder, for data that can be recomputed; `None` if the system has none. With [`DATA_DIR`] it is inside
/// that folder. Creates nothing on disk.
pub fn cache() -> Option<PathBuf> {
    let overridden = std::env::var_os(DATA_DIR)
        .filter(|folder| !folder.is_empty())
        .map(|folder| PathBuf::from(folder).join("cache"));
    overridden.or_else(|| system().map(|folders| folders.cache_dir().to_owned()))
}

/// The standard folders of this program on the system, ignoring [`DATA_DIR`].
pub fn system() -> Option<ProjectDirs> {
    ProjectDirs::from("", "", "skiplens")
}

/// Replaces a leading `~` by the home folder, as a shell does.
pub fn expand_home(name: &str) -> PathBuf {
    let rest = name
        .strip_prefix('~')
        .filter(|rest| rest.starts_with(std::path::is_separator));
    let home = directories::BaseDirs::new().filter(|_| rest.is_some());
    match (home, rest) {
        (Some(home), Some(rest)) => home
            .home_dir()
            .join(rest.trim_start_matches(std::path::is_separator)),
        _ => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_leading_tilde_is_the_home_folder() {
        let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
        assert_eq!(
            home.map(|home| home.join("a/b")),
            Some(expand_home("~/a/b"))
        );
        for name in ["a", "~", "~a/b", "/a/~/b"] {
            assert_eq!(expand_home(name), Path::new(name));
        }
    }
}
