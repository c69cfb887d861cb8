//! Values as strings: Python's `str` and `repr`.

use super::fault::Result;
use super::meter::Text;
use super::objects::{Object, Objects};
use super::value::{Function, Kind, Value};

/// Writes Python's `str` of a value.
pub fn write_str(value: &Value, out: &mut Text, objects: &Objects) -> Result<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Str(text) => out.push(text),
        value => write_repr(value, out, objects),
    }
}

/// Writes Python's `repr` of a value.
pub fn write_repr(value: &Value, out: &mut Text, objects: &Objects) -> Result<()> {
    // A namespace may contain itself.
    let _level = out.meter().descend()?;
    out.meter().steps(1)?;
    match value {
        Value::Undefined(_) => out.push("Undefined"),
        Value::None => out.push("None"),
        Value::Bool(true) => out.push("True"),
        Value::Bool(false) => out.push("False"),
        Value::Int(number) => out.push(&number.to_string()),
        Value::Float(number) => out.push(&float(*number)),
        Value::Str(text) => quote(text, out),
        Value::Seq(seq) => {
            let (open, close) = match seq.kind {
                Kind::List => ("[", "]"),
                Kind::Tuple | Kind::Group if seq.len() == 1 => ("(", ",)"),
                Kind::Tuple | Kind::Group => ("(", ")"),
                Kind::Range { start, stop, step } => {
                    return match step {
                        1 => out.push(&format!("range({start}, {stop})")),
                        _ => out.push(&format!("range({start}, {stop}, {step})")),
                    };
                }
                Kind::Keys => ("dict_keys([", "])"),
                Kind::Values => ("dict_values([", "])"),
                Kind::Items => ("dict_items([", "])"),
            };
            out.push(open)?;
            for (at, item) in seq.iter().enumerate() {
                if at > 0 {
                    out.push(", ")?;
                }
                write_repr(item, out, objects)?;
            }
            out.push(close)
        }
        Value::Dict(dict) => write_entries(dict.entries(), out, objects),
        Value::Object(id) => match objects.get(*id)? {
            Object::Namespace(attributes) => {
                out.push("<Namespace ")?;
                write_entries(attributes.entries(), out, objects)?;
                out.push(">")
            }
            Object::Macro(r#macro) => {
                out.push("<Macro ")?;
                match &r#macro.definition.name {
                    Some(name) => quote(name, out)?,
                    None => out.push("anonymous")?,
                }
                out.push(">")
            }
            Object::Loop(_) => out.push("<LoopContext>"),
            Object::Generator(_) => out.push("<generator object>"),
            Object::Cycler { .. } => out.push("<Cycler>"),
            Object::Joiner { .. } => out.push("<Joiner>"),
        },
        Value::Function(function) => out.push(match function {
            Function::Namespace => "<class 'Namespace'>",
            Function::Cycler => "<class 'jinja2.utils.Cycler'>",
            Function::Joiner => "<class 'jinja2.utils.Joiner'>",
            Function::Dict => "<TemplateDict>",
            Function::Range => "<function safe_range>",
            Function::RaiseException => "<function raise_exception>",
            Function::StrftimeNow => "<function strftime_now>",
        }),
        Value::Method(method) => {
            out.push("<built-in method ")?;
            out.push(method.name)?;
            out.push(" of ")?;
            out.push(method.receiver.type_name())?;
            out.push(" object>")
        }
    }
}

fn write_entries(entries: &[(Value, Value)], out: &mut Text, objects: &Objects) -> Result<()> {
    out.push("{")?;
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(", ")?;
        }
        write_repr(key, out, objects)?;
        out.push(": ")?;
        write_repr(value, out, objects)?;
    }
    out.push("}")
}

/// A string in the quotes that Python would choose, with escapes for unprintable characters.
pub fn quote(text: &str, out: &mut Text) -> Result<()> {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push_char(mark)?;
    for c in text.chars() {
        match c {
            '\n' => out.push("\\n")?,
            '\r' => out.push("\\r")?,
            '\t' => out.push("\\t")?,
            '\\' => out.push("\\\\")?,
            _ if c == mark => {
                out.push("\\")?;
                out.push_char(c)?;
            }
            _ => {
                out.meter().work(if c.is_ascii() { 1 } else { 32 })?;
                match is_printable(c) {
                    true => out.push_char(c)?,
                    false => out.push(&escape(c))?,
                }
            }
        }
    }
    out.push_char(mark)
}

/// `\x07`, `\u200b` or `\U000e0001`
pub fn escape(c: char) -> String {
    match u32::from(c) {
        code @ ..=0xFF => format!("\\x{code:02x}"),
        code @ ..=0xFFFF => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Whether Python's `repr` does not escape a character.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // With a leading letter, because Rust also escapes a combining mark at the start of a string.
    let text: String = ['a', c].iter().collect();
    text.escape_debug().count() == 2
}

/// The shortest representation that parses to the same number.
pub fn float(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "nan".into(),
            _ if number > 0.0 => "inf".into(),
            _ => "-inf".into(),
        };
    }
    let shortest = format!("{number:e}");
    let count = shortest.bytes().take_while(|b| *b != b'e');
    let count = count.filter(u8::is_ascii_digit).count();
    // Of the shortest representations, Python chooses the one nearest to the number, and the even one of two.
    let nearest = format!("{number:.*e}", count.saturating_sub(1));
    let (digits, exponent) = nearest.split_once('e').unwrap_or((&nearest, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        exponent @ -4..16 => {
            let after_point = count as i32 - 1 - exponent;
            format!("{number:.*}", after_point.max(0) as usize)
                + if after_point > 0 { "" } else { ".0" }
        }
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}
