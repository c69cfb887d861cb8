//! Collects ids while a text is encoded, with limits on number and time.

use crate::engine::{Error, Result};
use std::time::Instant;

/// Collects ids.
pub struct Sink {
    pub ids: Vec<u32>,
    /// Max number of ids.
    max: usize,
    /// Bytes of the text, for the error message.
    bytes: usize,
    deadline: Option<Instant>,
}

impl Sink {
    /// A sink for a text of `bytes` bytes. More than `max` tokens are an error.
    pub fn new(bytes: usize, max: usize, deadline: Option<Instant>) -> Self {
        Self {
            ids: Vec::new(),
            max,
            bytes,
            deadline,
        }
    }

    /// Appends an id.
    pub fn push(&mut self, id: u32) -> Result<()> {
        self.extend(&[id])
    }

    /// Appends ids. Fails if there are too many or the deadline has passed.
    pub fn extend(&mut self, ids: &[u32]) -> Result<()> {
        self.ids.extend_from_slice(ids);
        self.expect(0)?;
        match self.deadline {
            Some(deadline) if Instant::now() > deadline => Err(too_slow()),
            _ => Ok(()),
        }
    }

    /// Fails if `more` additional ids would be too many.
    pub fn expect(&self, more: usize) -> Result<()> {
        if self.ids.len() + more > self.max {
            return Err(Error::TextTooLong {
                bytes: self.bytes,
                context: self.max,
            });
        }
        Ok(())
    }
}

/// The error for a text that takes too long.
pub fn too_slow() -> Error {
    Error::Tokenizer(
        "a regular expression of this tokenizer takes too long on this text; its tokenizer.json may be damaged".into(),
    )
}
