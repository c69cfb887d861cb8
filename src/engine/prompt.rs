//! The input that a model continues: a text or a conversation.

use serde::{Deserialize, Serialize};

/// The input of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// A plain text to complete.
    #[serde(alias = "Text")]
    Text(String),
    /// A conversation, formatted by the model's chat template. The last message is the user's, or an assistant message
    /// to continue.
    #[serde(alias = "Chat")]
    Chat(Vec<Message>),
    /// Token ids, used unchanged.
    #[serde(alias = "Tokens")]
    Tokens(Vec<u32>),
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The text.
    pub content: String,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}
