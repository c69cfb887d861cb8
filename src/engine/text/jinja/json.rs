//! `tojson`: Python's `json.dumps`, with the options that transformers passes on.

use super::arguments::{self, Args, flag};
use super::compare::sort;
use super::display;
use super::fault::{Result, fail};
use super::interpreter::Interpreter;
use super::meter::{Meter, Text};
use super::value::{Kind, Value};
use std::rc::Rc;

struct Style {
    ensure_ascii: bool,
    /// Indentation per level; `None` puts everything on one line.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

/// A value as JSON.
pub fn dump(interpreter: &mut Interpreter, value: &Value, args: Args) -> Result<Value> {
    let [ensure_ascii, indent, separators, sort_keys] = args.bind(
        "tojson",
        ["ensure_ascii", "indent", "separators", "sort_keys"],
    )?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(Value::Str(unit)) => Some(unit.to_string()),
        Some(width) => Some(spaces(
            arguments::int(&width, "indent")?,
            &interpreter.meter,
        )?),
    };
    let mut style = Style {
        ensure_ascii: flag(&ensure_ascii, false),
        item_separator: if indent.is_some() { "," } else { ", " }.into(),
        key_separator: ": ".into(),
        indent,
        sort_keys: flag(&sort_keys, false),
    };
    if let Some(separators) = separators.filter(|separators| !separators.is_none()) {
        let separators = interpreter.items(&separators)?;
        let [item, key] = &separators[..] else {
            return fail!("separators has to be two strings");
        };
        style.item_separator = arguments::str(item, "a separator")?.to_owned();
        style.key_separator = arguments::str(key, "a separator")?.to_owned();
    }
    let mut out = Text::new(&interpreter.meter)?;
    style.write(value, 0, &mut out)?;
    Ok(out.finish())
}

fn spaces(width: i64, meter: &Rc<Meter>) -> Result<String> {
    let mut unit = Text::new(meter)?;
    unit.repeat(" ", arguments::length(width))?;
    Ok(unit.into_string())
}

impl Style {
    fn write(&self, value: &Value, level: usize, out: &mut Text) -> Result<()> {
        out.meter().steps(1)?;
        match value {
            Value::None => out.push("null"),
            Value::Bool(true) => out.push("true"),
            Value::Bool(false) => out.push("false"),
            Value::Int(number) => out.push(&number.to_string()),
            Value::Float(number) => out.push(&float(*number)),
            Value::Str(text) => self.quote(text, out),
            Value::Seq(seq) if seq.is_tuple() || seq.kind == Kind::List => {
                self.rows("[", "]", seq.iter(), level, out, |item, out| {
                    self.write(item, level + 1, out)
                })
            }
            Value::Dict(dict) => {
                let mut entries: Vec<&(Value, Value)> = dict.entries().iter().collect();
                if self.sort_keys {
                    let rows = entries.into_iter().map(|entry| (entry.0.clone(), entry));
                    let sorted = sort(rows.collect(), false, &out.meter())?;
                    entries = sorted.into_iter().map(|(_, entry)| entry).collect();
                }
                self.rows(
                    "{",
                    "}",
                    entries.into_iter(),
                    level,
                    out,
                    |(key, value), out| {
                        match key {
                            Value::Str(key) => self.quote(key, out)?,
                            Value::None => out.push("\"null\"")?,
                            Value::Bool(truth) => out.push(&format!("\"{truth}\""))?,
                            Value::Int(number) => out.push(&format!("\"{number}\""))?,
                            Value::Float(number) => out.push(&format!("\"{}\"", float(*number)))?,
                            _ => return fail!("{} cannot be a key in JSON", key.type_name()),
                        }
                        out.push(&self.key_separator)?;
                        self.write(value, level + 1, out)
                    },
                )
            }
            _ => fail!("{} cannot be written as JSON", value.type_name()),
        }
    }

    /// Writes rows in brackets, indented if the style has an indentation.
    fn rows<T>(
        &self,
        open: &str,
        close: &str,
        rows: impl ExactSizeIterator<Item = T>,
        level: usize,
        out: &mut Text,
        mut write: impl FnMut(T, &mut Text) -> Result<()>,
    ) -> Result<()> {
        out.push(open)?;
        let is_empty = rows.len() == 0;
        for (at, row) in rows.enumerate() {
            if at > 0 {
                out.push(&self.item_separator)?;
            }
            self.new_line(level + 1, out)?;
            write(row, out)?;
        }
        if !is_empty {
            self.new_line(level, out)?;
        }
        out.push(close)
    }

    fn new_line(&self, level: usize, out: &mut Text) -> Result<()> {
        match &self.indent {
            None => Ok(()),
            Some(unit) => {
                out.push("\n")?;
                out.repeat(unit, level)
            }
        }
    }

    fn quote(&self, text: &str, out: &mut Text) -> Result<()> {
        out.push("\"")?;
        for c in text.chars() {
            match c {
                '"' => out.push("\\\"")?,
                '\\' => out.push("\\\\")?,
                '\n' => out.push("\\n")?,
                '\r' => out.push("\\r")?,
                '\t' => out.push("\\t")?,
                '\x08' => out.push("\\b")?,
                '\x0c' => out.push("\\f")?,
                _ if c < ' ' || self.ensure_ascii && !(' '..='~').contains(&c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push(&format!("\\u{unit:04x}"))?;
                    }
                }
                _ => out.push_char(c)?,
            }
        }
        out.push("\"")
    }
}

/// A number, including NaN and infinities, which Python writes although JSON has no such numbers.
fn float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => display::float(number),
    }
}
