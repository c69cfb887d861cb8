//! `str.format`, with fields in braces.

use super::super::arguments::Args;
use super::super::display;
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::value::Value;
use super::closing_bracket;
use super::percent::ascii;
use super::spec;

/// The values of the fields, and the number of unnamed fields used so far.
struct Fields<'v> {
    args: &'v Args,
    automatic: usize,
    numbered: bool,
}

/// `format.format(*args, **kwargs)`
pub fn format(interpreter: &mut Interpreter, format: &str, args: &Args) -> Result<Value> {
    let mut fields = Fields {
        args,
        automatic: 0,
        numbered: false,
    };
    let mut out = Text::new(&interpreter.meter)?;
    expand(interpreter, format, &mut fields, 2, &mut out)?;
    Ok(out.finish())
}

/// Writes a format with its fields filled in. Format specs may contain fields as well, one level deep.
fn expand(
    interpreter: &mut Interpreter,
    format: &str,
    fields: &mut Fields,
    levels: u32,
    out: &mut Text,
) -> Result<()> {
    if levels == 0 {
        return fail!("fields in a format nest too deeply");
    }
    interpreter.meter.work(4 * format.len())?;
    let mut rest = format;
    while let Some(at) = rest.find(['{', '}']) {
        out.push(&rest[..at])?;
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push(brace)?;
            rest = after;
            continue;
        }
        let Some(end) = closing_bracket(rest, b"{}").filter(|_| brace == "{") else {
            return fail!("a single '{brace}' in a format");
        };
        field(interpreter, &rest[..end], fields, levels, out)?;
        rest = &rest[end + 1..];
    }
    out.push(rest)
}

/// One field: `name`, `!r` and `:spec`.
fn field(
    interpreter: &mut Interpreter,
    field: &str,
    fields: &mut Fields,
    levels: u32,
    out: &mut Text,
) -> Result<()> {
    let (name, conversion, layout) = split_field(field);
    let value = look_up(interpreter, name, fields)?;
    let mut filled = Text::new(&interpreter.meter)?;
    match layout.contains(['{', '}']) {
        true => expand(interpreter, layout, fields, levels - 1, &mut filled)?,
        false => filled.push(layout)?,
    }
    let shown = match conversion {
        None => value,
        Some(kind @ ("s" | "r" | "a")) => converted(interpreter, &value, kind)?,
        Some(other) => return fail!("there is no conversion !{other:.10} in a format"),
    };
    spec::write(interpreter, &shown, filled.as_str(), out)
}

fn converted(interpreter: &mut Interpreter, value: &Value, kind: &str) -> Result<Value> {
    let mut shown = Text::new(&interpreter.meter)?;
    match kind {
        "s" => display::write_str(value, &mut shown, &interpreter.objects)?,
        _ => display::write_repr(value, &mut shown, &interpreter.objects)?,
    }
    match kind {
        "a" => Value::str(&interpreter.meter, &ascii(shown.as_str())),
        _ => Ok(shown.finish()),
    }
}

fn split_field(field: &str) -> (&str, Option<&str>, &str) {
    // A subscript in a name may contain a colon.
    let mut open = false;
    let end = field.char_indices().find(|(_, c)| {
        match c {
            '[' => open = true,
            ']' => open = false,
            _ => {}
        }
        !open && matches!(c, '!' | ':')
    });
    match end {
        None => (field, None, ""),
        Some((at, ':')) => (&field[..at], None, &field[at + 1..]),
        Some((at, _)) => match field[at + 1..].split_once(':') {
            Some((conversion, layout)) => (&field[..at], Some(conversion), layout),
            None => (&field[..at], Some(&field[at + 1..]), ""),
        },
    }
}

/// The value that a field names: `0`, `name`, `name.attribute`, `name[key]`.
fn look_up(interpreter: &mut Interpreter, name: &str, fields: &mut Fields) -> Result<Value> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, mut rest) = name.split_at(end);
    let number = match first {
        "" if !fields.numbered => {
            fields.automatic += 1;
            Some(fields.automatic - 1)
        }
        "" => return fail!("a format must number either all of its fields or none"),
        first => first.parse::<usize>().ok(),
    };
    if number.is_some() && !first.is_empty() {
        fields.numbered = true;
        if fields.automatic > 0 {
            return fail!("a format must number either all of its fields or none");
        }
    }
    let found = match number {
        Some(number) => fields.args.positional.get(number),
        None => {
            let mut named = fields.args.named.iter();
            named
                .find(|(other, _)| **other == *first)
                .map(|(_, value)| value)
        }
    };
    let Some(mut value) = found.cloned() else {
        return fail!("there is no value for the field {first:.40}");
    };
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            value = interpreter.attribute(&value, &after[..end])?;
            rest = &after[end..];
        } else {
            let Some((key, after)) = rest[1..].split_once(']') else {
                return fail!("unterminated bracket in a format");
            };
            let key = match key.parse() {
                Ok(number) => Value::Int(number),
                Err(_) => Value::str(&interpreter.meter, key)?,
            };
            value = interpreter.item(&value, &key)?;
            rest = after;
        }
    }
    Ok(value)
}
