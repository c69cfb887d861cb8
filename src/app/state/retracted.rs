//! What was taken off the chat and can come back: an answer given up for another prompt, a chat that was cleared.

use super::turn::Turn;

/// Turns that were taken off the chat, and what the prompt held before.
#[derive(Debug, Clone, PartialEq)]
pub struct Retracted {
    pub(in crate::app) turns: Vec<Turn>,
    /// None where the prompt was left alone.
    pub(in crate::app) draft: Option<String>,
    /// Whether the whole chat was cleared.
    pub(in crate::app) whole: bool,
}
