//! Methods of strings that change case or test character classes.

use super::super::arguments::Args;
use super::super::display::is_printable;
use super::super::fault::{Result, fail};
use super::super::meter::{Meter, Text};
use super::super::unicode::{is_space, is_word};
use super::super::value::Value;
use std::rc::Rc;

/// Units of work for looking up the class or case of one byte.
pub const WORK: usize = 8;

/// The methods of this module.
pub const NAMES: [&str; 18] = [
    "capitalize",
    "casefold",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "lower",
    "swapcase",
    "title",
    "upper",
];

/// Calls a method of this module.
pub fn call(meter: &Rc<Meter>, text: &str, name: &str, args: Args) -> Result<Value> {
    args.none(name)?;
    meter.work(WORK * text.len())?;
    let all = |holds: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(holds));
    Ok(match name {
        "upper" => upper(meter, text)?,
        "lower" => lower(meter, text)?,
        "casefold" => lower(meter, &text.replace(['ß', 'ẞ'], "ss"))?,
        "capitalize" => capitalize(meter, text)?,
        "title" => title(meter, text)?,
        "swapcase" => {
            let mut out = Text::new(meter)?;
            for c in text.chars() {
                match c.is_uppercase() {
                    true => push_all(c.to_lowercase(), &mut out)?,
                    false => push_all(c.to_uppercase(), &mut out)?,
                }
            }
            out.finish()
        }
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => Value::Bool(text.is_ascii()),
        "isdecimal" | "isdigit" => all(|c| c.is_numeric() && (!c.is_ascii() || c.is_ascii_digit())),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isprintable" => Value::Bool(text.chars().all(is_printable)),
        "isidentifier" => {
            let starts = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
            Value::Bool(starts && text.chars().all(is_word))
        }
        "islower" => Value::Bool(is_lower(text)),
        "isupper" => Value::Bool(is_upper(text)),
        "istitle" => Value::Bool(is_title(text)),
        _ => return fail!("a string has no method {name}"),
    })
}

pub fn upper(meter: &Rc<Meter>, text: &str) -> Result<Value> {
    let mut out = Text::new(meter)?;
    text.chars()
        .try_for_each(|c| push_all(c.to_uppercase(), &mut out))?;
    Ok(out.finish())
}

pub fn lower(meter: &Rc<Meter>, text: &str) -> Result<Value> {
    meter.work(2 * text.len())?;
    Value::str(meter, &text.to_lowercase())
}

pub fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase) && !text.chars().any(char::is_uppercase)
}

pub fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}

/// The first character in upper case, the rest in lower.
pub fn capitalize(meter: &Rc<Meter>, text: &str) -> Result<Value> {
    let mut out = Text::new(meter)?;
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        push_title(first, &mut out)?;
        meter.work(2 * text.len())?;
        out.push(&chars.as_str().to_lowercase())?;
    }
    Ok(out.finish())
}

/// Capitalises each run of letters.
fn title(meter: &Rc<Meter>, text: &str) -> Result<Value> {
    let mut out = Text::new(meter)?;
    let mut in_word = false;
    for c in text.chars() {
        match in_word {
            true => push_all(c.to_lowercase(), &mut out)?,
            false => push_title(c, &mut out)?,
        }
        in_word = has_case(c);
    }
    Ok(out.finish())
}

fn is_title(text: &str) -> bool {
    let mut in_word = false;
    let mut any = false;
    for c in text.chars() {
        if c.is_uppercase() && in_word || c.is_lowercase() && !in_word {
            return false;
        }
        in_word = has_case(c);
        any |= in_word;
    }
    any
}

fn has_case(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase()
}

/// Appends the first character of a word in title case; if it becomes several, only the first is in upper case.
fn push_title(c: char, out: &mut Text) -> Result<()> {
    let mut upper = c.to_uppercase();
    if let Some(first) = upper.next() {
        out.push_char(first)?;
    }
    push_all(upper.flat_map(char::to_lowercase), out)
}

fn push_all(mut chars: impl Iterator<Item = char>, out: &mut Text) -> Result<()> {
    chars.try_for_each(|c| out.push_char(c))
}
