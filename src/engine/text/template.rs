//! The chat template of a model: a Jinja program that writes a conversation as the model was trained to read it.

use super::jinja::{Template, Variables};
use super::parts::TextParts;
use crate::engine::prompt::{Message, Role};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};

/// A chat template, or what is wrong with it.
#[derive(Debug)]
pub struct ChatTemplate {
    template: Result<Template, String>,
    source: String,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// The template of a model; none if its files hold none. A template that cannot be read is no fault of the model,
    /// which can still complete text: [`Self::fault`] tells, and rendering fails.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Option<Self> {
        let mut template = Self::from_parts(&checkpoint.text)?;
        template.template = template
            .template
            .map_err(|fault| format!("{}: {fault}", checkpoint.path.display()));
        Some(template)
    }

    /// The template among these parts, if there is one.
    pub fn from_parts(parts: &TextParts) -> Option<Self> {
        let source = parts.chat_template.as_ref()?;
        let text = |token: &Option<String>| token.clone().unwrap_or_default();
        Some(Self {
            template: Template::parse(source).map_err(|fault| fault.to_string()),
            source: source.clone(),
            bos_token: text(&parts.bos_token),
            eos_token: text(&parts.eos_token),
        })
    }

    /// Why the template cannot be used, if it could not be read.
    pub fn fault(&self) -> Option<&str> {
        self.template.as_ref().err().map(String::as_str)
    }

    /// The program as the model's files hold it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The conversation as one text. It ends where the model continues: after the header of the assistant's answer, or,
    /// if the last message is the assistant's, right after what it holds.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] if the template could not be read, refuses the conversation, is wrong, or uses more time,
    /// memory or depth than a conversation of this length can need.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        match messages.split_last() {
            Some((last, before)) if last.role == Role::Assistant => {
                self.render_continued(before, last)
            }
            _ => self.render_with(messages, true),
        }
    }

    /// Render with a mark at the end of the last message, and cut there.
    fn render_continued(&self, before: &[Message], last: &Message) -> Result<String> {
        let contents = before.iter().chain([last]);
        let mark = unused_character(contents.map(|message| message.content.as_str()))?;
        let mut messages = before.to_vec();
        messages.push(Message {
            role: last.role,
            content: format!("{}{mark}", last.content),
        });
        let mut text = self.render_with(&messages, false)?;
        let end = text.rfind(mark).ok_or_else(|| {
            Error::Template(
                "it leaves out the assistant's last message, so that cannot be continued".into(),
            )
        })?;
        text.truncate(end);
        Ok(text)
    }

    fn render_with(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let template = match &self.template {
            Ok(template) => template,
            Err(fault) => {
                return Err(Error::Template(format!(
                    "{fault}; plain completion works without it"
                )));
            }
        };
        let variables = Variables {
            messages,
            add_generation_prompt,
            bos_token: &self.bos_token,
            eos_token: &self.eos_token,
            now: jiff::Zoned::now().datetime(),
        };
        let rendered = template.render(&variables);
        rendered.map_err(|fault| Error::Template(fault.to_string()))
    }
}

/// A character that none of the texts contains: one of Unicode's noncharacters, which are for such internal use.
pub(super) fn unused_character<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Result<char> {
    let mut candidates = '\u{FDD0}'..='\u{FDEF}';
    let free = candidates.find(|&c| !texts.clone().any(|text| text.contains(c)));
    free.ok_or_else(|| {
        Error::Template("the conversation uses every noncharacter of Unicode".into())
    })
}
