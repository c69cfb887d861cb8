//! Turns taken off the chat that can be restored: an answer given up to edit its prompt, or a cleared chat.

use super::turn::Turn;

/// Retracted turns and the previous text of the prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Retracted {
    pub(in crate::app) turns: Vec<Turn>,
    /// `None` if the prompt was not changed.
    pub(in crate::app) draft: Option<String>,
    /// Whether the whole chat was cleared.
    pub(in crate::app) whole: bool,
}
