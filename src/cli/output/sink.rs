//! The only place where commands write to standard output and standard error. Untrusted text from a model, a file, a
//! library or a user cannot control the terminal; only the program's own styles can.
//!
//! Data such as generated text and exports is unchanged in files and pipes. Messages are always sanitised, because logs
//! are also read on terminals.

use crate::error_text;
use crate::safe_text::{StyledText, terminal_json, visible};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader of the pipe has closed it.
    #[error("standard output was closed")]
    Closed,
    #[error("standard output: {}", error_text::io(.0))]
    Io(io::Error),
    #[error("standard output: {}", error_text::json(.0))]
    Json(serde_json::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stream that sanitises text for its reader.
pub struct Sink<W> {
    stream: W,
    terminal: bool,
}

/// Standard output.
#[expect(clippy::disallowed_methods, reason = "this is the sink")]
pub fn stdout() -> Sink<io::Stdout> {
    let stream = io::stdout();
    Sink {
        terminal: stream.is_terminal(),
        stream,
    }
}

impl<W: Write> Sink<W> {
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Prints text for people, always sanitised.
    ///
    /// # Errors
    /// If writing fails.
    pub fn message(&mut self, text: &str) -> Result<()> {
        self.send(&visible(text))
    }

    /// Prints data: unchanged, but sanitised on a terminal.
    ///
    /// # Errors
    /// If writing fails.
    pub fn data(&mut self, text: &str) -> Result<()> {
        let text = match self.terminal {
            true => visible(text),
            false => Cow::Borrowed(text),
        };
        self.send(&text)
    }

    /// Prints styled text.
    ///
    /// # Errors
    /// If writing fails.
    pub fn styled(&mut self, text: &StyledText) -> Result<()> {
        self.send(text.as_str())
    }

    /// Prints an indented JSON document and a line feed. Unsafe characters are escaped, which keeps its value.
    ///
    /// # Errors
    /// If writing fails.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let document = serde_json::to_string_pretty(value).map_err(Error::Json)?;
        self.send(&(terminal_json(document) + "\n"))
    }

    /// As [`Sink::json`], on one line.
    ///
    /// # Errors
    /// If writing fails.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<()> {
        let document = serde_json::to_string(value).map_err(Error::Json)?;
        self.send(&(terminal_json(document) + "\n"))
    }

    /// Writes and flushes, so that output appears at once and a full disk is noticed.
    fn send(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes())?;
        Ok(self.stream.flush()?)
    }
}

/// Prints an error on standard error. Further lines are indented, so that they cannot look like another message.
pub fn error(message: &str) {
    eprint(&format!("skiplens: {}\n", indented(message)));
}

/// Prints a note on standard error.
pub fn note(message: &str) {
    eprint(&format!("note: {}\n", indented(message)));
}

/// Writes lines to standard error.
pub fn eprint(lines: &str) {
    let text = visible(lines);
    // If standard error is gone, there is nowhere to report it.
    #[expect(clippy::disallowed_methods, reason = "this is the sink")]
    let _ = io::stderr().write_all(text.as_bytes());
}

fn indented(message: &str) -> String {
    message.trim_end().replace('\n', "\n    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safe_text::is_unsafe;
    use proptest::prelude::*;

    fn sent(terminal: bool, print: impl FnOnce(&mut Sink<Vec<u8>>) -> Result<()>) -> String {
        let mut sink = Sink {
            stream: Vec::new(),
            terminal,
        };
        print(&mut sink).unwrap();
        String::from_utf8(sink.stream).unwrap()
    }

    fn harmless(text: &str) -> bool {
        !text.contains(|c| is_unsafe(c) && c != '\n' && c != '\t')
    }

    proptest! {
        #[test]
        fn nothing_acts_on_a_terminal(text in any::<String>()) {
            for out in [
                sent(true, |sink| sink.message(&text)),
                sent(true, |sink| sink.data(&text)),
                sent(true, |sink| sink.json(&text)),
                sent(true, |sink| sink.styled(&StyledText::plain(&text))),
            ] {
                prop_assert!(harmless(&out), "{out:?}");
            }
        }

        #[test]
        fn only_data_is_passed_on_as_it_is(text in any::<String>()) {
            prop_assert_eq!(&sent(false, |sink| sink.data(&text)), &text);
            for out in [
                sent(false, |sink| sink.message(&text)),
                sent(false, |sink| sink.json_line(&text)),
                sent(false, |sink| sink.styled(&StyledText::plain(&text))),
            ] {
                prop_assert!(harmless(&out), "{out:?}");
            }
        }

        #[test]
        fn json_means_what_it_meant(text in any::<String>()) {
            for terminal in [false, true] {
                let out = sent(terminal, |sink| sink.json(&text));
                prop_assert_eq!(&serde_json::from_str::<String>(&out).unwrap(), &text);
            }
        }
    }

    #[test]
    fn no_line_of_a_message_passes_for_another() {
        assert_eq!(indented("a\nskiplens: b\n"), "a\n    skiplens: b");
    }

    #[test]
    fn a_closed_pipe_is_told_from_a_full_disk() {
        let of = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::BrokenPipe), Error::Closed));
        assert!(matches!(of(io::ErrorKind::StorageFull), Error::Io(_)));
    }
}
