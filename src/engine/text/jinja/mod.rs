//! Jinja as configured by transformers for chat templates, with Python's values and with limits on all resources.
//!
//! A template comes with a model and is not trusted. The parser has a limited depth, and the interpreter charges each
//! step, byte and level to a meter with [`Limits`] before using it. Exceeding a limit is an error.

mod arguments;
mod arithmetic;
mod ast;
mod checks;
mod compare;
mod containers;
mod display;
mod fault;
mod filters;
mod format;
mod functions;
mod interpreter;
mod json;
mod lexer;
mod literal;
mod meter;
mod methods;
mod objects;
mod parser;
mod strftime;
#[cfg(test)]
mod tests;
mod unicode;
mod value;

pub use fault::{Fault, Result};
pub use meter::Limits;

use crate::engine::prompt::{Message, Role};
use interpreter::Interpreter;
use jiff::civil::DateTime;
use meter::Meter;
use std::rc::Rc;
use value::{Dict, Value};

/// Max bytes of a source. Real templates have at most a few ten thousand bytes.
const MAX_SOURCE: usize = 512 << 10;

/// Stack size of the thread that parses or runs a template: far more than the depth limits of parser and meter can use.
/// Unused stack takes only address space.
const STACK: usize = 64 << 20;

/// A parsed template.
#[derive(Debug)]
pub struct Template {
    body: ast::Body,
    keeps_loops: bool,
    source_length: usize,
}

/// The variables that transformers passes to a chat template.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'v> {
    pub messages: &'v [Message],
    pub add_generation_prompt: bool,
    pub bos_token: &'v str,
    pub eos_token: &'v str,
    /// The local time, for `strftime_now`.
    pub now: DateTime,
}

impl Template {
    /// Parses a template.
    pub fn parse(source: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE {
            return Err(Fault::new(format!(
                "the template has {} bytes; at most {MAX_SOURCE} are read",
                source.len()
            )));
        }
        let source = lexer::normalise(source);
        let (body, keeps_loops) = on_large_stack(|| parser::parse(&source))??;
        Ok(Self {
            body,
            keeps_loops,
            source_length: source.len(),
        })
    }

    /// Renders the template with these variables.
    pub fn render(&self, variables: &Variables) -> Result<String> {
        let messages: usize = variables
            .messages
            .iter()
            .map(|m| m.content.len() + 64)
            .sum();
        let limits = Limits::for_input(self.source_length + messages);
        on_large_stack(|| self.run(variables, limits))?
    }

    fn run(&self, variables: &Variables, limits: Limits) -> Result<String> {
        let meter = Meter::new(limits);
        let mut interpreter = Interpreter::new(meter.clone(), variables.now, self.keeps_loops)?;
        let mut messages = value::List::new(&meter)?;
        for message in variables.messages {
            messages.push(message_value(message, &meter)?)?;
        }
        interpreter.define("messages", messages.finish(value::Kind::List)?)?;
        // As in transformers, for a conversation without tools and documents.
        interpreter.define("tools", Value::None)?;
        interpreter.define("documents", Value::None)?;
        let prompt = Value::Bool(variables.add_generation_prompt);
        interpreter.define("add_generation_prompt", prompt)?;
        let (bos, eos) = (variables.bos_token, variables.eos_token);
        interpreter.define("bos_token", Value::str(&meter, bos)?)?;
        interpreter.define("eos_token", Value::str(&meter, eos)?)?;
        let text = interpreter.render(&self.body)?;
        if text.len() > limits.output {
            return Err(Fault::new(format!(
                "the template turns this conversation into {} bytes, which is too much",
                text.len()
            )));
        }
        Ok(text)
    }
}

fn message_value(message: &Message, meter: &Rc<Meter>) -> Result<Value> {
    let mut dict = Dict::new(meter)?;
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let role = Value::str(meter, role)?;
    dict.insert(Value::str(meter, "role")?, role)?;
    let content = Value::str(meter, &message.content)?;
    dict.insert(Value::str(meter, "content")?, content)?;
    dict.finish()
}

/// Runs a function on a thread with a large stack, so that it may recurse as deeply as the limits allow.
fn on_large_stack<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("chat template".into())
            .stack_size(STACK)
            .spawn_scoped(scope, run);
        match thread.map(|thread| thread.join()) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(Fault::new("the template could not be run")),
            Err(error) => Err(Fault::new(format!(
                "cannot start a thread for the template: {error}"
            ))),
        }
    })
}
