//! What a model is asked to continue: a text or a conversation.

use serde::{Deserialize, Serialize};

/// What to continue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// Plain completion of a text.
    Text(String),
    /// A conversation, put through the model's chat template; the last message is the user's, or the assistant's to be
    /// continued.
    Chat(Vec<Message>),
    /// Token ids as they are: nothing is put before them.
    Tokens(Vec<u32>),
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}
