//! Names of models on the hub.

use std::fmt;

/// A repository of the hub and, for repositories of GGUF files, the choice of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubModel {
    /// `organisation/name`.
    pub repository: String,
    /// The choice of GGUF file.
    pub file: Option<FileChoice>,
}

/// One of several GGUF files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChoice {
    /// Its path in the repository.
    Path(String),
    /// A part of its name: `Q8_0`.
    Tag(String),
}

impl HubModel {
    /// A whole repository.
    pub fn repository(id: &str) -> Self {
        Self {
            repository: id.to_owned(),
            file: None,
        }
    }

    /// Parses `org/name`, `org/name:TAG`, `org/name/path.gguf`, or the address of a repository.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name
            .strip_prefix("https://huggingface.co/")
            .unwrap_or(name)
            .trim_end_matches('/');
        let (name, tag) = match name.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (name, None),
        };
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() < 2 || !parts.iter().copied().chain(tag).all(is_plain) {
            return None;
        }
        let repository = format!("{}/{}", parts[0], parts[1]);
        let file = match (&parts[2..], tag) {
            ([], None) => None,
            ([], Some(tag)) => Some(FileChoice::Tag(tag.to_owned())),
            (path, None) if is_gguf(name) => Some(FileChoice::Path(path.join("/"))),
            _ => return None,
        };
        Some(Self { repository, file })
    }

    /// Which file of a repository to use: the requested one, or of several the most precise one that is still small.
    pub fn choose_gguf<'a>(&self, files: &[&'a str]) -> Option<&'a str> {
        const PREFERRED: [&str; 7] = ["Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "BF16", "F16"];
        // Models split into several GGUF files are not supported.
        let whole: Vec<&str> = files
            .iter()
            .copied()
            .filter(|f| is_gguf(f) && !f.contains("-of-"))
            .collect();
        let tagged = |tag: &str| {
            let with = |fits: fn(&str, &str) -> bool| whole.iter().copied().find(|f| fits(f, tag));
            with(names_type).or_else(|| with(begins_type))
        };
        match &self.file {
            Some(FileChoice::Path(path)) => files.iter().copied().find(|file| file == path),
            Some(FileChoice::Tag(tag)) => tagged(tag),
            None => PREFERRED
                .iter()
                .find_map(|tag| tagged(tag))
                .or(whole.first().copied()),
        }
    }
}

impl fmt::Display for HubModel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.file {
            None => write!(f, "{}", self.repository),
            Some(FileChoice::Path(path)) => write!(f, "{}/{path}", self.repository),
            Some(FileChoice::Tag(tag)) => write!(f, "{}:{tag}", self.repository),
        }
    }
}

/// Whether a file name contains the tag as a whole word: `F16` is not in `m-BF16.gguf`, nor `Q4_K` in `m-Q4_K_M.gguf`.
fn names_type(file: &str, tag: &str) -> bool {
    words_after(file, tag).any(|rest| !rest.starts_with(is_word))
}

/// Whether a word of a file name starts with the tag.
fn begins_type(file: &str, tag: &str) -> bool {
    words_after(file, tag).next().is_some()
}

/// The rest of a file name after each place where the tag begins a word, ignoring case.
fn words_after<'f>(file: &'f str, tag: &str) -> impl Iterator<Item = &'f str> {
    let (lower, tag) = (file.to_ascii_lowercase(), tag.to_ascii_lowercase());
    let places: Vec<usize> = lower.match_indices(&tag).map(|(at, _)| at).collect();
    let length = tag.len();
    places
        .into_iter()
        .filter(|at| !file[..*at].ends_with(is_word))
        .map(move |at| &file[at + length..])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether this is the name of a GGUF file.
pub fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

/// Whether a component of a path is a plain name, because it becomes part of local paths.
fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && !part.starts_with('.') && part.chars().all(allowed)
}

/// Whether an untrusted path stays inside its folder.
pub fn is_safe_path(path: &str) -> bool {
    path.split('/').all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':', '\0'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_chosen() {
        let files = [
            "README.md",
            "m-Q4_K_M.gguf",
            "m-q8_0.gguf",
            "m-F16-00001-of-00002.gguf",
        ];
        let choose = |name: &str| HubModel::parse(name).unwrap().choose_gguf(&files);
        assert_eq!(choose("a/b"), Some("m-q8_0.gguf"));
        assert_eq!(choose("a/b:q4_k_m"), Some("m-Q4_K_M.gguf"));
        assert_eq!(choose("a/b:F16"), None);
        assert_eq!(choose("a/b/m-q8_0.gguf"), Some("m-q8_0.gguf"));
        assert_eq!(choose("a/b/other.gguf"), None);
    }

    #[test]
    fn a_tag_is_a_whole_word() {
        let files = ["m-BF16.gguf", "m-F16.gguf", "m-Q4_K_M.gguf", "m-Q4_K.gguf"];
        let choose = |name: &str| HubModel::parse(name).unwrap().choose_gguf(&files);
        assert_eq!(choose("a/b:F16"), Some("m-F16.gguf"));
        assert_eq!(choose("a/b:q4_k"), Some("m-Q4_K.gguf"));
        assert_eq!(
            choose("a/b:Q4"),
            Some("m-Q4_K_M.gguf"),
            "the first that begins so"
        );
        assert_eq!(choose("a/b:K_M"), None);
    }

    #[test]
    fn unsafe_paths_are_rejected() {
        assert!(is_safe_path("sub/model.gguf"));
        for path in ["../x", "/etc/passwd", "a//b", "a/./b", "c:x", "a\\b"] {
            assert!(!is_safe_path(path), "{path}");
        }
    }
}
