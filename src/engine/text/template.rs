//! The chat template of a model: a Jinja program that writes a conversation as the model was trained to read it.

use super::clock;
use super::parts::TextParts;
use crate::engine::prompt::{Message, Role};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use minijinja::{AutoEscape, Environment, ErrorKind, Value, context};

/// Instructions a template may execute: far more than a long conversation needs, and a fraction of a second's worth, so
/// that a template that loops for ever ends in an error.
const FUEL: u64 = 5_000_000;

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// The template of a model; none if its files hold none. The error names the file or folder.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Option<Self>> {
        Self::from_parts(&checkpoint.text).map_err(|error| match error {
            Error::Template(fault) => {
                Error::Template(format!("{}: {fault}", checkpoint.path.display()))
            }
            error => error,
        })
    }

    pub fn from_parts(parts: &TextParts) -> Result<Option<Self>> {
        let Some(source) = &parts.chat_template else {
            return Ok(None);
        };
        let mut environment = environment();
        environment
            .add_template_owned("chat", without_generation_tags(source))
            .map_err(describe)?;
        let text = |token: &Option<String>| token.clone().unwrap_or_default();
        Ok(Some(Self {
            environment,
            bos_token: text(&parts.bos_token),
            eos_token: text(&parts.eos_token),
        }))
    }

    /// The conversation as one text. It ends where the model is to go on: after the header of the assistant's answer, or,
    /// if the last message is the assistant's, right after what it holds.
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
        let mark = unused_character(
            before
                .iter()
                .chain([last])
                .map(|message| message.content.as_str()),
        )?;
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
        let template = self.environment.get_template("chat").map_err(describe)?;
        let values = context! {
            messages => Value::from_serialize(messages),
            bos_token => self.bos_token,
            eos_token => self.eos_token,
            add_generation_prompt => add_generation_prompt,
        };
        template.render(values).map_err(describe)
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

/// Jinja as transformers sets it up.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        },
    );
    environment.add_function("strftime_now", |format: String| clock::format_now(&format));
    environment.add_filter("tojson", to_json);
    environment
}

/// Python's `json.dumps`: a space after commas and colons, nothing escaped for HTML.
fn to_json(value: Value) -> Result<String, minijinja::Error> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, PythonJson);
    serde::Serialize::serialize(&value, &mut serializer)
        .map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The separators of Python's `json` module.
struct PythonJson;

impl serde_json::ser::Formatter for PythonJson {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
    ) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

/// Drop `{% generation %}` and its end: marks for training that transformers adds to Jinja.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}").map(|end| end + 2) else {
            break;
        };
        let tag = &rest[start..start + length];
        let word =
            tag[2..length - 2].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        out.push_str(&rest[..start]);
        // An empty comment keeps the tag's effect on the space around it.
        match word {
            "generation" | "endgeneration" => {
                out.push_str(&tag.replacen('%', "#", 1).replace("%}", "#}"))
            }
            _ => out.push_str(tag),
        }
        rest = &rest[start + length..];
    }
    out + rest
}

/// The message of a Jinja error and of its causes.
fn describe(error: minijinja::Error) -> Error {
    let text = match error.detail() {
        Some(detail) if error.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        _ => error.to_string(),
    };
    Error::Template(text)
}
