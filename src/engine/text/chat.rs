//! A conversation as token ids. What people write can hold the names of control tokens; it must not become them.

use super::template::unused_character;
use super::{ChatTemplate, Tokenizer};
use crate::engine::Result;
use crate::engine::prompt::Message;

impl Tokenizer {
    /// Ids of a conversation that the template wrote. The template's control tokens are recognised, those in messages
    /// are ordinary text. BOS comes first if the model wants it, and once.
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

    /// Break every control token's name in a message by a mark inside of it, also where only its beginning or its end
    /// is there and the template might supply the rest. Templates can trim and search such text as ever.
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

/// A text without the marks in it, and where they were.
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
