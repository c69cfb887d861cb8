//! The chat template of a model: a Jinja template that formats a conversation like the model's training data.

use super::jinja::{Template, Variables};
use super::spec::TokenizerSpec;
use crate::engine::prompt::{Message, Role};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};

/// A chat template, or the reason why it cannot be used.
#[derive(Debug)]
pub struct ChatTemplate {
    template: Result<Template, String>,
    source: String,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// The template of a model, if it has one. A template that cannot be parsed is not an error here, because the model can
    /// still complete text: [`Self::fault`] returns the reason, and rendering fails.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Option<Self> {
        let mut template = Self::from_spec(&checkpoint.text)?;
        template.template = template
            .template
            .map_err(|fault| format!("{}: {fault}", checkpoint.path.display()));
        Some(template)
    }

    /// The template of a specification, if it has one.
    pub fn from_spec(parts: &TokenizerSpec) -> Option<Self> {
        let source = parts.chat_template.as_ref()?;
        let text = |token: &Option<String>| token.clone().unwrap_or_default();
        Some(Self {
            template: Template::parse(source).map_err(|fault| fault.to_string()),
            source: source.clone(),
            bos_token: text(&parts.bos_token),
            eos_token: text(&parts.eos_token),
        })
    }

    /// Why the template cannot be parsed; `None` if it can.
    pub fn fault(&self) -> Option<&str> {
        self.template.as_ref().err().map(String::as_str)
    }

    /// The source of the template, as in the model's files.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Formats a conversation. The result ends where the model continues: after the header of the assistant's answer, or, if
    /// the last message is the assistant's, right after its content.
    ///
    /// # Errors
    ///
    /// [`Error::Template`] if the template cannot be parsed, rejects the conversation, is faulty, or uses more time, memory or
    /// depth than a conversation of this length should need.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        match messages.split_last() {
            Some((last, before)) if last.role == Role::Assistant => {
                self.render_continued(before, last)
            }
            _ => self.render_with(messages, true),
        }
    }

    /// Renders with a mark at the end of the last message, and cuts the result there.
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
                "it omits the last message of the assistant, which therefore cannot be continued"
                    .into(),
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

/// A character that occurs in none of the texts: one of Unicode's noncharacters, which are meant for internal use.
pub(super) fn unused_character<'a>(texts: impl Iterator<Item = &'a str> + Clone) -> Result<char> {
    let mut candidates = '\u{FDD0}'..='\u{FDEF}';
    let free = candidates.find(|&c| !texts.clone().any(|text| text.contains(c)));
    free.ok_or_else(|| {
        Error::Template("the conversation uses every noncharacter of Unicode".into())
    })
}
