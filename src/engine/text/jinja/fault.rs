//! Why a template cannot be read or rendered.

use std::fmt;

/// Characters of a template's own message that are shown.
const MAX_MESSAGE: usize = 2000;

/// Result of reading or rendering a template.
pub type Result<T> = std::result::Result<T, Fault>;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    message: String,
    line: Option<u32>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What Python raises too.
    Error,
    /// The template's own words, from `raise_exception`; they are shown as they stand.
    Raised,
    /// More time, memory or depth than there is for a template.
    Limit,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Error, message.into())
    }

    /// What a template says with `raise_exception`.
    pub fn raised(message: &str) -> Self {
        let message = match message.char_indices().nth(MAX_MESSAGE) {
            Some((end, _)) => format!("{}…", &message[..end]),
            None => message.to_owned(),
        };
        Self::of(Kind::Raised, message)
    }

    /// A limit that was reached.
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

    /// Names the line, unless a statement further inside already did.
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

/// A fault with a formatted message, as a `Result`.
macro_rules! fail {
    ($($message:tt)*) => {
        Err($crate::engine::text::jinja::fault::Fault::new(format!($($message)*)))
    };
}
pub(super) use fail;
