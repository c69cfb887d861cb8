//! The filters of Jinja that are useful in chat templates.

mod number;
mod order;
mod pick;
mod sequence;
mod text;
mod wrap;

use super::arguments::{Args, flag, required};
use super::display;
use super::fault::{Result, fail};
use super::interpreter::Interpreter;
use super::json;
use super::meter::Text;
use super::value::{Str, Value};
use std::rc::Rc;

/// A filter: the value before the bar, and the arguments.
type Filter = for<'i, 't> fn(&'i mut Interpreter<'t>, Value, Args) -> Result<Value>;

/// Filters that have no module of their own.
const FILTERS: &[(&str, Filter)] = &[
    ("attr", attr),
    ("d", default),
    ("default", default),
    ("safe", |interpreter, value, args| {
        args.none("safe")?;
        interpreter.text_of(&value).map(Value::Str)
    }),
    ("string", |interpreter, value, args| {
        args.none("string")?;
        interpreter.text_of(&value).map(Value::Str)
    }),
    ("tojson", |interpreter, value, args| {
        json::dump(interpreter, &value, args)
    }),
];

fn find(name: &str) -> Option<Filter> {
    [
        FILTERS,
        number::FILTERS,
        order::FILTERS,
        pick::FILTERS,
        sequence::FILTERS,
        text::FILTERS,
    ]
    .into_iter()
    .flatten()
    .find(|(other, _)| *other == name)
    .map(|(_, filter)| *filter)
}

/// Whether there is a filter with this name.
pub fn exists(name: &str) -> bool {
    find(name).is_some()
}

impl Interpreter<'_> {
    /// `value | name(args)`
    pub fn filter(&mut self, name: &str, value: Value, args: Args) -> Result<Value> {
        let _level = self.meter.descend()?;
        self.meter.steps(1)?;
        match find(name) {
            Some(filter) => filter(self, value, args),
            None => fail!("there is no filter named {name:.40}"),
        }
    }

    /// A value as a string.
    pub fn text_of(&mut self, value: &Value) -> Result<Rc<Str>> {
        if let Value::Str(text) = value {
            return Ok(text.clone());
        }
        let mut text = Text::new(&self.meter)?;
        display::write_str(value, &mut text, &self.objects)?;
        Ok(text.into_str())
    }
}

fn default(_: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [default, boolean] = args.bind("default", ["default_value", "boolean"])?;
    if !value.is_undefined() && (value.is_true() || !flag(&boolean, false)) {
        return Ok(value);
    }
    match default {
        Some(default) => Ok(default),
        None => Ok(value),
    }
}

fn attr(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [name] = args.bind("attr", ["name"])?;
    let name = required(name, "name")?;
    let name = super::arguments::str(&name, "name")?;
    match interpreter.own_attribute(&value, name)? {
        Some(found) => Ok(found),
        None => Value::undefined(&interpreter.meter, name),
    }
}
