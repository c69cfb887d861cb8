//! Filters that apply to each value of a sequence.

use super::super::arguments::{self, Args, required};
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::value::{List, Value};
use super::Filter;

pub const FILTERS: &[(&str, Filter)] = &[
    ("map", map),
    ("reject", |interpreter, value, args| {
        pick(interpreter, value, args, false, false)
    }),
    ("rejectattr", |interpreter, value, args| {
        pick(interpreter, value, args, true, false)
    }),
    ("select", |interpreter, value, args| {
        pick(interpreter, value, args, false, true)
    }),
    ("selectattr", |interpreter, value, args| {
        pick(interpreter, value, args, true, true)
    }),
];

impl Interpreter<'_> {
    /// The value of a dotted attribute path; the value itself if there is no attribute.
    pub fn path(&mut self, value: &Value, attribute: &Value) -> Result<Value> {
        self.path_or(value, attribute, None)
    }

    /// Like [`Self::path`], with a default for undefined values.
    pub fn path_or(
        &mut self,
        value: &Value,
        attribute: &Value,
        default: Option<&Value>,
    ) -> Result<Value> {
        let mut value = value.clone();
        let mut step = |value: &mut Value, key: &Value| {
            *value = self.item(value, key)?;
            if let Some(default) = default
                && value.is_undefined()
            {
                *value = default.clone();
            }
            Ok(())
        };
        match attribute {
            Value::None => {}
            Value::Str(path) => {
                for part in path.split('.') {
                    let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                    let key = match part.parse() {
                        Ok(number) if is_number => Value::Int(number),
                        _ => Value::str(path.meter(), part)?,
                    };
                    step(&mut value, &key)?;
                }
            }
            key => step(&mut value, key)?,
        }
        Ok(value)
    }
}

fn map(interpreter: &mut Interpreter, value: Value, mut args: Args) -> Result<Value> {
    interpreter.generator(|interpreter, list| {
        if !value.is_true() {
            return Ok(());
        }
        let by_attribute = args.named.iter().any(|(name, _)| &**name == "attribute");
        if args.positional.is_empty() && by_attribute {
            let [attribute, default] = args.bind("map", ["attribute", "default"])?;
            return map_attribute(interpreter, &value, attribute, default, list);
        }
        if args.positional.is_empty() {
            return fail!("map takes a filter or an attribute");
        }
        let name = args.positional.remove(0);
        let name = arguments::str(&name, "the name of a filter")?;
        let count = args.positional.len() + args.named.len();
        for item in interpreter.items(&value)?.iter() {
            interpreter.meter.steps(count)?;
            list.push(interpreter.filter(name, item.clone(), args.clone())?)?;
        }
        Ok(())
    })
}

fn map_attribute(
    interpreter: &mut Interpreter,
    value: &Value,
    attribute: Option<Value>,
    default: Option<Value>,
    list: &mut List,
) -> Result<()> {
    let attribute = required(attribute, "attribute")?;
    let default = default.filter(|default| !default.is_none());
    for item in interpreter.items(value)?.iter() {
        list.push(interpreter.path_or(item, &attribute, default.as_ref())?)?;
    }
    Ok(())
}

/// Selects or rejects values by testing them or an attribute of them.
fn pick(
    interpreter: &mut Interpreter,
    value: Value,
    mut args: Args,
    by_attribute: bool,
    wanted: bool,
) -> Result<Value> {
    interpreter.generator(|interpreter, list| {
        if !value.is_true() {
            return Ok(());
        }
        let attribute = match by_attribute {
            true if args.positional.is_empty() => {
                return fail!("the name of an attribute is missing");
            }
            true => args.positional.remove(0),
            false => Value::None,
        };
        let test = match args.positional.is_empty() {
            true => None,
            false => Some(args.positional.remove(0)),
        };
        let count = args.positional.len() + args.named.len();
        for item in interpreter.items(&value)?.iter() {
            interpreter.meter.steps(1 + count)?;
            let tested = interpreter.path(item, &attribute)?;
            let passes = match &test {
                Some(name) => {
                    let name = arguments::str(name, "the name of a test")?;
                    interpreter.test(name, &tested, args.clone())?
                }
                None => tested.is_true(),
            };
            if passes == wanted {
                list.push(item.clone())?;
            }
        }
        Ok(())
    })
}
