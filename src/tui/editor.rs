//! A text lent to the user's editor.

use color_eyre::Result;
use color_eyre::eyre::{WrapErr, bail, eyre};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// Lets `$VISUAL`, `$EDITOR` or `vi` edit a text in a file of its own. The terminal must be the editor's meanwhile.
///
/// # Errors
/// When the editor cannot be started, or says that it failed; the text is then as it was.
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
    match status.wrap_err_with(|| format!("{editor} could not be started; set $EDITOR"))? {
        status if status.success() => Ok(edited?),
        status => Err(eyre!("{editor} ended with {status}; the text is as it was")),
    }
}

/// The first variable that is set to anything, and its value.
fn chosen(var: impl Fn(&str) -> Option<String>) -> (&'static str, String) {
    let set = |name| {
        let value = var(name).filter(|value| !value.trim().is_empty())?;
        Some((name, value))
    };
    set("VISUAL")
        .or_else(|| set("EDITOR"))
        .unwrap_or(("EDITOR", "vi".into()))
}

/// The words of a command line, quoted as a shell has them.
fn split(editor: &str) -> Result<Vec<String>> {
    // The separator of paths on Windows is no escape there.
    let editor = if cfg!(windows) {
        editor.replace('\\', "\\\\")
    } else {
        editor.to_owned()
    };
    Ok(shell_words::split(&editor)?)
}

/// A new file that nobody else reads.
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
    bail!("no file could be made in {}", folder.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_with_a_value_counts() {
        let chosen = |visual: &str, editor: &str| {
            chosen(|name| Some(if name == "VISUAL" { visual } else { editor }.to_owned()))
        };
        assert_eq!(chosen("code -w", "ed"), ("VISUAL", "code -w".into()));
        assert_eq!(chosen(" ", "ed"), ("EDITOR", "ed".into()));
        assert_eq!(chosen("", ""), ("EDITOR", "vi".into()));
    }

    #[cfg(unix)]
    #[test]
    fn words_are_those_of_a_shell() {
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
