//! What can go wrong in the engine, each with words that say what to do.

use super::memory;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// Result of everything in the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine. The message names what is wrong and, where there is one, the way out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model file that cannot be what it claims to be: truncated, hostile or of an unknown kind.
    #[error("{path}: {}", shortened(fault))]
    ModelFile { path: PathBuf, fault: String },
    /// A model that is sound but not one skiplens can run, or one that cannot be found.
    #[error("{}", shortened(.0))]
    Model(String),
    /// A setting outside of what it may be.
    #[error("{}", shortened(.0))]
    Setting(String),
    /// A prompt that does not fit in the model's context.
    #[error(
        "the prompt has {tokens} tokens, but the context of this model holds {context}; shorten the prompt"
    )]
    PromptTooLong { tokens: usize, context: usize },
    /// A prompt that does not fit in the model's context, as is certain before all of its tokens are known.
    #[error(
        "the prompt of {bytes} bytes has more than the {context} tokens that the context of this model holds; shorten \
         the prompt"
    )]
    TextTooLong { bytes: usize, context: usize },
    /// A prompt with nothing in it for a model without a beginning-of-sequence token.
    #[error("the prompt is empty, and this model has no token to begin with; give it some text")]
    EmptyPrompt,
    /// The chat template of the model could not be used.
    #[error("chat template: {}", shortened(.0))]
    Template(String),
    /// The tokenizer could not be built or used.
    #[error("tokenizer: {}", shortened(.0))]
    Tokenizer(String),
    /// The machine lacks memory for something whose size the model or a setting decides.
    #[error("{what} needs {}{}; choose a smaller model or context, or close other programs", memory::human(*bytes), free(*available))]
    OutOfMemory {
        what: String,
        bytes: u64,
        /// Bytes that are free; none where the system does not say.
        available: Option<u64>,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A tensor operation failed; with sound files and settings this does not happen.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// Whose fault an error is, which decides the exit status, the HTTP status and the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// A setting, a prompt or a path that the user can correct.
    Input,
    /// The model's files.
    Model,
    /// The machine: memory, disk, devices, network.
    Machine,
    /// Ours.
    Internal,
    /// Nobody's: the caller cancelled.
    Cancelled,
}

/// A message as long as people read. It may quote a file, and what is in a file has no end.
fn shortened(message: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 2000;
    match message.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &message[..end])),
        None => Cow::Borrowed(message),
    }
}

impl Error {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Setting(_)
            | Self::PromptTooLong { .. }
            | Self::TextTooLong { .. }
            | Self::EmptyPrompt => ErrorKind::Input,
            Self::ModelFile { .. } | Self::Model(_) | Self::Template(_) | Self::Tokenizer(_) => {
                ErrorKind::Model
            }
            Self::Io { .. } | Self::OutOfMemory { .. } => ErrorKind::Machine,
            Self::Tensor(_) => ErrorKind::Internal,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// A fault of the model file at `path`.
    pub fn file(path: impl Into<PathBuf>, fault: impl Into<String>) -> Self {
        Self::ModelFile {
            path: path.into(),
            fault: fault.into(),
        }
    }

    /// A failed read or write of `path`.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

fn free(available: Option<u64>) -> String {
    available.map_or_else(String::new, |bytes| {
        format!(", but {} are free", memory::human(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_quote_whole_files_are_cut() {
        let long = "é".repeat(1 << 20);
        for error in [
            Error::file("model.gguf", long.clone()),
            Error::Model(long.clone()),
            Error::Setting(long.clone()),
            Error::Template(long.clone()),
            Error::Tokenizer(long),
        ] {
            assert!(error.to_string().chars().count() < 2100);
        }
        assert_eq!(Error::Model("short".into()).to_string(), "short");
    }
}
