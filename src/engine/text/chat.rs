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
            .map(|message| self.disarm(message, mark))
            .collect();
        let text = template.render(&harmless)?;
        let mut ids = Vec::new();
        let special = &self.0.special;
        special.split(&text, |part| match part {
            Ok(text) if text.contains(mark) => {
                self.encode_part(Ok(&text.replace(mark, "")), &mut ids)
            }
            part => self.encode_part(part, &mut ids),
        })?;
        if let Some(bos) = self.bos().filter(|bos| ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        self.check_ids(ids)
    }

    /// Break every control token's name in a message by a mark inside of it, also where only its beginning or its end
    /// is there and the template might supply the rest. Templates can trim and search such text as ever.
    fn disarm(&self, message: &Message, mark: char) -> Message {
        let mut breaks: Vec<usize> = Vec::new();
        let text = message.content.as_str();
        for name in self.0.special.names() {
            let Some(first) = name
                .chars()
                .next()
                .map(char::len_utf8)
                .filter(|&first| first < name.len())
            else {
                continue;
            };
            breaks.extend(text.match_indices(name).map(|(at, _)| at + first));
            let cuts = || name.char_indices().skip(1).map(|(cut, _)| cut);
            breaks.extend(
                cuts()
                    .filter(|&cut| text.ends_with(&name[..cut]))
                    .map(|cut| text.len() - cut + first),
            );
            breaks.extend(
                cuts()
                    .filter(|&cut| text.starts_with(&name[cut..]))
                    .map(|_| 0),
            );
        }
        breaks.sort_unstable();
        breaks.dedup();
        let mut content = text.to_owned();
        for at in breaks.into_iter().rev() {
            content.insert(at, mark);
        }
        Message {
            role: message.role,
            content,
        }
    }
}
