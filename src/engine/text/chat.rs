//! Encodes a conversation. Names of control tokens in messages must not become control tokens.

use super::template::unused_character;
use super::{ChatTemplate, Tokenizer};
use crate::engine::Result;
use crate::engine::prompt::Message;

impl Tokenizer {
    /// Token ids of a conversation, formatted by the template. Control tokens in the template are recognised; in
    /// messages they are ordinary text. The ids begin with one BOS token if the model uses it.
    ///
    /// # Errors
    ///
    /// If the template fails, or the conversation cannot fit in the context.
    pub fn encode_chat(&self, template: &ChatTemplate, messages: &[Message]) -> Result<Vec<u32>> {
        let mark = unused_character(messages.iter().map(|message| message.content.as_str()))?;
        let harmless: Vec<Message> = messages
            .iter()
            .map(|message| self.neutralise_specials(message, mark))
            .collect();
        let text = template.render(&harmless)?;
        let (text, marks) = without_marks(&text, mark);
        let mut ids = self.encode_prompt(&text, &marks)?;
        if let Some(bos) = self.bos().filter(|bos| ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    }

    /// Inserts a mark into the name of every control token in a message, and into prefixes and suffixes of names that
    /// the template might complete. Templates can still trim and search such text.
    fn neutralise_specials(&self, message: &Message, mark: char) -> Message {
        let breaks = self.tables.breaks(&message.content);
        let mut content = String::with_capacity(message.content.len() + breaks.len());
        let mut done = 0;
        for at in breaks {
            content.push_str(&message.content[done..at]);
            content.push(mark);
            done = at;
        }
        content.push_str(&message.content[done..]);
        Message {
            role: message.role,
            content,
        }
    }
}

/// Removes the marks from a text and returns their positions.
fn without_marks(text: &str, mark: char) -> (String, Vec<usize>) {
    let mut plain = String::with_capacity(text.len());
    let mut marks = Vec::new();
    for (nth, part) in text.split(mark).enumerate() {
        if nth > 0 {
            marks.push(plain.len());
        }
        plain.push_str(part);
    }
    (plain, marks)
}
