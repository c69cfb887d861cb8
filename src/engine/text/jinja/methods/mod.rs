//! Methods of strings, mappings and sequences. As in Jinja's immutable sandbox, none of them changes a list or mapping.

pub mod case;
mod search;
pub mod shape;

use super::arguments::{self, Args, required};
use super::fault::{Result, fail};
use super::format::braces;
use super::interpreter::Interpreter;
use super::meter::Text;
use super::value::{Dict, Kind, List, Value};
use std::rc::Rc;

/// Methods of strings that need the interpreter.
const TEXT: [&str; 4] = ["encode", "format", "format_map", "join"];
const MAPPING: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const SEQUENCE: [&str; 3] = ["copy", "count", "index"];
const NUMBER: [&str; 2] = ["bit_length", "is_integer"];

/// The method with this name, if the value has one.
pub fn named(value: &Value, name: &str) -> Option<&'static str> {
    let find = |names: &[&'static str]| names.iter().find(|other| **other == name).copied();
    if let Value::Str(_) = value {
        return find(&TEXT)
            .or_else(|| find(&shape::NAMES))
            .or_else(|| find(&search::NAMES))
            .or_else(|| find(&case::NAMES));
    }
    find(match value {
        Value::Dict(_) => &MAPPING,
        Value::Seq(seq) if seq.kind == Kind::List => &SEQUENCE,
        Value::Seq(seq) if seq.has_positions() => &SEQUENCE[1..],
        Value::Int(_) | Value::Bool(_) => &NUMBER[..1],
        Value::Float(_) => &NUMBER[1..],
        _ => &[],
    })
}

/// Calls a method found by [`named`].
pub fn call(
    interpreter: &mut Interpreter,
    receiver: &Value,
    name: &str,
    args: Args,
) -> Result<Value> {
    match receiver {
        Value::Str(text) => {
            interpreter.meter.work(text.len())?;
            call_text(interpreter, text, name, args)
        }
        Value::Dict(dict) => call_mapping(interpreter, dict, name, args),
        Value::Seq(seq) => call_sequence(interpreter, seq, receiver, name, args),
        Value::Int(_) | Value::Bool(_) => {
            args.none(name)?;
            let number = receiver.as_int().unwrap_or(0).unsigned_abs();
            Ok(Value::Int(i64::from(u64::BITS - number.leading_zeros())))
        }
        Value::Float(number) => {
            args.none(name)?;
            Ok(Value::Bool(number.fract() == 0.0))
        }
        _ => fail!("{} has no method {name}", receiver.type_name()),
    }
}

fn call_text(interpreter: &mut Interpreter, text: &str, name: &str, args: Args) -> Result<Value> {
    match name {
        "format" => braces::format(interpreter, text, &args),
        "format_map" => {
            let [mapping] = args.bind(name, ["mapping"])?;
            let mut named = Args::default();
            match required(mapping, "mapping")? {
                Value::Dict(dict) => {
                    for (key, value) in dict.entries() {
                        if let Value::Str(key) = key {
                            interpreter.meter.work(key.len())?;
                            named.named.push(((***key).into(), value.clone()));
                        }
                    }
                }
                other => return fail!("format_map takes a mapping, not {}", other.type_name()),
            }
            braces::format(interpreter, text, &named)
        }
        "encode" => fail!("templates have no bytes here"),
        "join" => {
            let [items] = args.bind(name, ["iterable"])?;
            let items = interpreter.items(&required(items, "iterable")?)?;
            let mut out = Text::new(&interpreter.meter)?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(text)?;
                }
                out.push(arguments::str(item, "what join takes")?)?;
            }
            Ok(out.finish())
        }
        name if shape::NAMES.contains(&name) => shape::call(&interpreter.meter, text, name, args),
        name if search::NAMES.contains(&name) => search::call(&interpreter.meter, text, name, args),
        name => case::call(&interpreter.meter, text, name, args),
    }
}

fn call_mapping(
    interpreter: &mut Interpreter,
    dict: &Rc<Dict>,
    name: &str,
    args: Args,
) -> Result<Value> {
    if name == "get" {
        if !args.named.is_empty() {
            return fail!("get takes no named arguments");
        }
        let [key, default] = args.bind(name, ["key", "default"])?;
        let found = dict.get(&required(key, "key")?)?.cloned();
        return Ok(found.or(default).unwrap_or(Value::None));
    }
    args.none(name)?;
    let mut list = List::new(&interpreter.meter)?;
    for (key, value) in dict.entries() {
        list.push(match name {
            "keys" => key.clone(),
            "values" => value.clone(),
            "items" => Value::tuple(&interpreter.meter, [key.clone(), value.clone()])?,
            _ => return Ok(Value::Dict(dict.clone())),
        })?;
    }
    match name {
        "keys" => list.finish(Kind::Keys),
        "values" => list.finish(Kind::Values),
        "items" => list.finish(Kind::Items),
        _ => Ok(Value::Dict(dict.clone())),
    }
}

fn call_sequence(
    interpreter: &mut Interpreter,
    items: &[Value],
    receiver: &Value,
    name: &str,
    args: Args,
) -> Result<Value> {
    if name == "copy" {
        args.none(name)?;
        return Ok(receiver.clone());
    }
    let [wanted, start, stop] = args.bind(name, ["value", "start", "stop"])?;
    let wanted = required(wanted, "value")?;
    if name == "count" {
        let mut count = 0;
        for item in items {
            count += i64::from(item.equals(&wanted, &interpreter.meter)?);
        }
        return Ok(Value::Int(count));
    }
    let length = items.len() as i64;
    let place = |at: i64| {
        if at < 0 {
            at.saturating_add(length).max(0)
        } else {
            at.min(length)
        }
    };
    let start = place(arguments::int_or(&start, 0, "start")?);
    let stop = place(arguments::int_or(&stop, length, "stop")?);
    for at in start..stop {
        if items[at as usize].equals(&wanted, &interpreter.meter)? {
            return Ok(Value::Int(at));
        }
    }
    fail!("the value is not in the list")
}
