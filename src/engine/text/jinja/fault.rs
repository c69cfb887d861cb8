//! Errors of parsing and rendering a template.

use std::fmt;

/// Max characters shown of a template's own message.
const MAX_MESSAGE: usize = 2000;

/// Result of parsing or rendering a template.
pub type Result<T> = std::result::Result<T, Fault>;

/// An error in a template, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
    line: Option<u32>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An error that Python would raise as well.
    Error,
    /// The template's own message from `raise_exception`, shown unchanged.
    Raised,
    /// A limit of time, memory or depth.
    Limit,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Error, message.into())
    }

    /// The error of `raise_exception`.
    pub fn raised(message: &str) -> Self {
        let message = match message.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message.to_owned(),
        };
        Self::of(Kind::Raised, message)
    }

    /// The error for an exceeded limit.
    pub fn limit(message: &str) -> Self {
        Self::of(Kind::Limit, message.to_owned())
    }

    fn of(kind: Kind, message: String) -> Self {
        Self {
            message,
            line: None,
            kind,
        }
    }

    pub fn is_limit(&self) -> bool {
        self.kind == Kind::Limit
    }

    /// Adds the line, unless an inner statement has already done so.
    pub fn at(mut self, line: u32) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) if self.kind != Kind::Raised => write!(f, "line {line}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

/// Returns an error with a formatted message.
macro_rules! fail {
    ($($message:tt)*) => {
        Err($crate::engine::text::jinja::fault::Fault::new(format!($($message)*)))
    };
}
pub(super) use fail;
