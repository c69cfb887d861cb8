//! Edits a text in the user's editor.

use color_eyre::Result;
use color_eyre::eyre::{WrapErr, bail, eyre};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Opens a text in `$VISUAL`, `$EDITOR` or `vi`, in a temporary file, and returns the edited text. The terminal must be
/// released to the editor first.
///
/// # Errors
/// If the editor cannot be started or exits with an error. Changes are then discarded.
pub fn edit(text: &str) -> Result<String> {
    let (name, editor) = chosen(|name| std::env::var(name).ok());
    let mut words = split(&editor).wrap_err_with(|| format!("${name} is {editor:?}"))?;
    if words.is_empty() {
        bail!("${name} names no editor");
    }
    let (path, mut file) = scratch()?;
    file.write_all(text.as_bytes())
        .wrap_err_with(|| path.display().to_string())?;
    drop(file);
    let status = Command::new(words.remove(0))
        .args(words)
        .arg(&path)
        .status();
    let edited = fs::read_to_string(&path);
    drop(fs::remove_file(&path));
    match status.wrap_err_with(|| format!("${name} is {editor:?}, which cannot be started"))? {
        status if status.success() => Ok(edited.wrap_err_with(|| path.display().to_string())?),
        status => Err(eyre!(
            "{editor} exited with {status}; the text is unchanged"
        )),
    }
}

/// The first variable with a non-empty value, and the value.
fn chosen(var: impl Fn(&str) -> Option<String>) -> (&'static str, String) {
    let set = |name| {
        let value = var(name).filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    };
    set("VISUAL")
        .or_else(|| set("EDITOR"))
        .unwrap_or(("EDITOR", "vi".into()))
}

/// Splits a command line into words by the quoting rules of a shell.
fn split(editor: &str) -> Result<Vec<String>> {
    // On Windows the backslash separates paths and does not escape.
    let editor = if cfg!(windows) {
        editor.replace('\\', "\\\\")
    } else {
        editor.to_owned()
    };
    Ok(shell_words::split(&editor)?)
}

/// Creates a temporary file that only the user can read.
fn scratch() -> Result<(PathBuf, File)> {
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
                let file = opened.wrap_err_with(|| path.display().to_string())?;
                return Ok((path, file));
            }
        }
    }
    bail!("cannot create a file in {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_non_empty_variable_is_used() {
        let chosen = |visual: &str, editor: &str| {
            chosen(|name| Some(if name == "VISUAL" { visual } else { editor }.to_owned()))
        };
        assert_eq!(chosen("code -w", "ed"), ("VISUAL", "code -w".into()));
        assert_eq!(chosen(" ", "ed"), ("EDITOR", "ed".into()));
        assert_eq!(chosen("", ""), ("EDITOR", "vi".into()));
    }

    #[cfg(unix)]
    #[test]
    fn commands_are_split_as_in_a_shell() {
        for (line, words) in [
            ("vi", &["vi"][..]),
            ("'/my editor/ed' -w", &["/my editor/ed", "-w"]),
            ("ed -t -a \"\"", &["ed", "-t", "-a", ""]),
            (r"/my\ editor/ed", &["/my editor/ed"]),
            (
                "emacs --eval '(f \"x\")'",
                &["emacs", "--eval", "(f \"x\")"],
            ),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        assert!(split("'unfinished").is_err());
    }
}
