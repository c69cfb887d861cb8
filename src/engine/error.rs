//! Errors of the engine, with messages that say what to do.

use super::memory;
use crate::error_text;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;

/// Result of the engine's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine. The message says what is wrong and, if possible, what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A damaged or truncated model file, or one of an unknown format.
    #[error("{path}: {}", shortened(fault))]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
        fault: String,
    },
    /// A model that skiplens cannot run or find.
    #[error("{}", shortened(.0))]
    Model(String),
    /// An invalid setting.
    #[error("{}", shortened(.0))]
    Setting(String),
    /// A value of [`Settings`](crate::engine::decode::Settings) that is out of range.
    #[error("{fault}")]
    OutOfRange {
        /// The name of the field, or of the field of its [`Sampling`](crate::engine::sampling::Sampling).
        field: &'static str,
        /// What is wrong with it.
        fault: String,
    },
    /// The prompt does not fit in the model's context.
    #[error(
        "the prompt has {tokens} tokens, but the context of this model holds {context}; shorten the prompt"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that the context holds.
        context: usize,
    },
    /// The prompt is too long for the model's context, whatever its tokens.
    #[error(
        "the prompt of {bytes} bytes has more than the {context} tokens that the context of this model holds; shorten \
         the prompt"
    )]
    TextTooLong {
        /// Bytes of the prompt.
        bytes: usize,
        /// Tokens that the context holds.
        context: usize,
    },
    /// The conversation does not fit in the model's context.
    #[error(
        "the conversation{} no longer fits in the context of this model, which holds {context}; start a new chat",
        tokens.map(|tokens| format!(" has {tokens} tokens and")).unwrap_or_default()
    )]
    ConversationTooLong {
        /// Tokens of the conversation, if known.
        tokens: Option<usize>,
        /// Tokens that the context holds.
        context: usize,
    },
    /// The prompt is empty, and the model has no beginning-of-sequence token.
    #[error(
        "the prompt is empty, and this model has no beginning-of-sequence token to start from; give it some text"
    )]
    EmptyPrompt,
    /// The chat template of the model could not be used.
    #[error("chat template: {}", shortened(.0))]
    Template(String),
    /// The tokenizer could not be built or used.
    #[error("tokenizer: {}", shortened(.0))]
    Tokenizer(String),
    /// Not enough memory for an allocation that depends on the model or a setting.
    #[error("{what} needs {}{}; choose a smaller model or context, or close other programs", memory::human(*bytes), free(*available))]
    OutOfMemory {
        /// What needs the memory.
        what: String,
        /// How many bytes it needs.
        bytes: u64,
        /// Free memory in bytes, if known.
        available: Option<u64>,
    },
    /// The GPU failed, or is out of memory.
    #[error("{}; --device cpu runs the model on the CPU", shortened(.0))]
    Gpu(String),
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Reading or writing a file failed. The message includes the system's error, which is therefore not a source:
    /// printing the chain would repeat it.
    #[error("{path}: {}", error_text::io(fault))]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        fault: std::io::Error,
    },
    /// A tensor operation failed, which does not happen with valid files and settings.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The category of an error. It determines the exit status, the HTTP status and the wording around the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// A setting, a prompt or a path that the user can correct.
    Input,
    /// The conversation no longer fits in the context.
    ContextExceeded,
    /// The model's files.
    Model,
    /// The machine: memory, disk, devices, network.
    Machine,
    /// A bug in skiplens.
    Internal,
    /// Not an error: the caller cancelled.
    Cancelled,
}

/// A message truncated to a readable length, since it may quote a file.
fn shortened(message: &str) -> Cow<'_, str> {
    const MAX_CHARS: usize = 2000;
    match message.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &message[..end])),
        None => Cow::Borrowed(message),
    }
}

impl Error {
    /// The category of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Setting(_)
            | Self::OutOfRange { .. }
            | Self::PromptTooLong { .. }
            | Self::TextTooLong { .. }
            | Self::EmptyPrompt => ErrorKind::Input,
            Self::ConversationTooLong { .. } => ErrorKind::ContextExceeded,
            Self::ModelFile { .. } | Self::Model(_) | Self::Template(_) | Self::Tokenizer(_) => {
                ErrorKind::Model
            }
            Self::Io { .. } | Self::OutOfMemory { .. } | Self::Gpu(_) => ErrorKind::Machine,
            Self::Tensor(_) => ErrorKind::Internal,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    /// An error in the model file at `path`.
    pub fn file(path: impl Into<PathBuf>, fault: impl Into<String>) -> Self {
        Self::ModelFile {
            path: path.into(),
            fault: fault.into(),
        }
    }

    /// A field of the settings that is out of range.
    pub fn out_of_range(field: &'static str, fault: impl Into<String>) -> Self {
        let fault = fault.into();
        Self::OutOfRange { field, fault }
    }

    /// An error while reading or writing `path`.
    pub fn io(path: impl Into<PathBuf>, fault: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            fault,
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
    fn long_messages_are_shortened() {
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
