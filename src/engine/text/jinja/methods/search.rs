//! Methods of strings that search.

use super::super::arguments::{self, Args, required};
use super::super::fault::{Result, fail};
use super::super::meter::Meter;
use super::super::value::Value;
use std::rc::Rc;

/// The methods of this module.
pub const NAMES: [&str; 7] = [
    "count",
    "endswith",
    "find",
    "index",
    "rfind",
    "rindex",
    "startswith",
];

/// Calls a method of this module.
pub fn call(meter: &Rc<Meter>, text: &str, name: &str, args: Args) -> Result<Value> {
    let [wanted, start, end] = args.bind(name, ["sub", "start", "end"])?;
    let wanted = required(wanted, "sub")?;
    let Some((part, first)) = part(text, &start, &end)? else {
        return match name {
            "startswith" | "endswith" => Ok(Value::Bool(false)),
            "count" => Ok(Value::Int(0)),
            "find" | "rfind" => Ok(Value::Int(-1)),
            _ => fail!("the text does not occur"),
        };
    };
    if let "startswith" | "endswith" = name {
        return Ok(Value::Bool(has_end(part, name, &wanted, meter)?));
    }
    let wanted = arguments::str(&wanted, "sub")?;
    meter.work(part.len() + wanted.len())?;
    if name == "count" {
        return Ok(Value::Int(part.matches(wanted).count() as i64));
    }
    let found = match name {
        "find" | "index" => part.find(wanted),
        _ => part.rfind(wanted),
    };
    match found {
        Some(at) => Ok(Value::Int((first + part[..at].chars().count()) as i64)),
        None if matches!(name, "find" | "rfind") => Ok(Value::Int(-1)),
        None => fail!("the text does not occur"),
    }
}

/// Whether a string begins or ends with a string, or with any of a tuple.
fn has_end(text: &str, name: &str, wanted: &Value, meter: &Meter) -> Result<bool> {
    let is = |wanted: &Value| {
        let wanted = arguments::str(wanted, "what is looked for")?;
        meter.work(wanted.len() + 1)?;
        Ok(match name {
            "startswith" => text.starts_with(wanted),
            _ => text.ends_with(wanted),
        })
    };
    match wanted {
        Value::Seq(seq) if seq.is_tuple() => {
            for wanted in seq.iter() {
                if is(wanted)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        wanted => is(wanted),
    }
}

/// The characters from `start` to `end`, and the number of characters before them; `None` if `start` is after `end`.
fn part<'t>(
    text: &'t str,
    start: &Option<Value>,
    end: &Option<Value>,
) -> Result<Option<(&'t str, usize)>> {
    let is_none = |value: &Option<Value>| value.as_ref().is_none_or(Value::is_none);
    if is_none(start) && is_none(end) {
        return Ok(Some((text, 0)));
    }
    let length = text.chars().count() as i64;
    let place = |value: &Option<Value>, default: i64, name: &str| {
        if is_none(value) {
            return Ok(default);
        }
        let at = arguments::int_or(value, default, name)?;
        Ok(if at < 0 {
            at.saturating_add(length).max(0)
        } else {
            at
        })
    };
    let start = place(start, 0, "start")?;
    let end = place(end, length, "end")?.min(length);
    if start > end {
        return Ok(None);
    }
    let byte = |at: i64| {
        let mut places = text.char_indices().map(|(byte, _)| byte);
        places.nth(at as usize).unwrap_or(text.len())
    };
    Ok(Some((&text[byte(start)..byte(end)], start as usize)))
}
