//! `str.format`: fields in braces.

use super::super::arguments::Args;
use super::super::display;
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::value::Value;
use super::number::{self, Layout};
use super::percent::{ascii, leading_number};

/// The values for the fields, and how many fields went by without a name.
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

/// Writes a format with its fields filled in. Layouts may hold fields too, one level deep.
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
        let Some(end) = closing_brace(rest).filter(|_| brace == "{") else {
            return fail!("a single '{brace}' in a format");
        };
        field(interpreter, &rest[..end], fields, levels, out)?;
        rest = &rest[end + 1..];
    }
    out.push(rest)
}

/// One field: `name`, `!r` and `:layout`.
fn field(
    interpreter: &mut Interpreter,
    field: &str,
    fields: &mut Fields,
    levels: u32,
    out: &mut Text,
) -> Result<()> {
    let (name, conversion, layout) = split_field(field);
    let value = look_up(interpreter, name, fields)?;
    let mut spec = Text::new(&interpreter.meter)?;
    match layout.contains(['{', '}']) {
        true => expand(interpreter, layout, fields, levels - 1, &mut spec)?,
        false => spec.push(layout)?,
    }
    let mut shown = Text::new(&interpreter.meter)?;
    match conversion {
        None => return write(interpreter, &value, spec.as_str(), out),
        Some("s") => display::write_str(&value, &mut shown, &interpreter.objects)?,
        Some("r" | "a") => display::write_repr(&value, &mut shown, &interpreter.objects)?,
        Some(other) => return fail!("there is no conversion !{other:.10} in a format"),
    }
    let layout = layout_of(spec.as_str())?;
    match (conversion, layout.kind) {
        (_, Some(kind)) if kind != 's' => fail!("a text has no layout {kind}"),
        (Some("a"), _) => number::text(&ascii(shown.as_str()), &layout.layout, out),
        _ => number::text(shown.as_str(), &layout.layout, out),
    }
}

fn split_field(field: &str) -> (&str, Option<&str>, &str) {
    // A bracket in a name may hold a colon.
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
        "" => return fail!("a format numbers either all of its fields or none"),
        first => first.parse::<usize>().ok(),
    };
    if number.is_some() && !first.is_empty() {
        fields.numbered = true;
        if fields.automatic > 0 {
            return fail!("a format numbers either all of its fields or none");
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
                return fail!("a bracket in a format has no end");
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

/// Where the brace closes that was open before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

struct Spec {
    layout: Layout,
    kind: Option<char>,
}

/// `[[fill]align][sign][#][0][width][grouping][.precision][type]`
fn layout_of(spec: &str) -> Result<Spec> {
    let mut layout = Layout::default();
    let mut rest = spec;
    let is_align = |c: char| matches!(c, '<' | '>' | '^' | '=');
    let mut chars = rest.chars();
    match (chars.next(), chars.next()) {
        (Some(fill), Some(align)) if is_align(align) => {
            layout.fill = Some(fill);
            layout.align = Some(align);
            rest = chars.as_str();
        }
        (Some(align), _) if is_align(align) => {
            layout.align = Some(align);
            rest = &rest[1..];
        }
        _ => {}
    }
    if let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-' | ' ')) {
        layout.sign = Some(sign);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('#') {
        layout.alternate = true;
        rest = after;
    }
    if let Some(after) = rest.strip_prefix('0') {
        layout.fill = layout.fill.or(Some('0'));
        layout.align = layout.align.or(Some('='));
        rest = after;
    }
    (layout.width, rest) = leading_number(rest)?;
    if let Some(grouping) = rest.chars().next().filter(|c| matches!(c, ',' | '_')) {
        layout.grouping = Some(grouping);
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('.') {
        if !after.starts_with(|c: char| c.is_ascii_digit()) {
            return fail!("a precision in a format has no digits");
        }
        let (precision, after) = leading_number(after)?;
        layout.precision = Some(precision);
        rest = after;
    }
    let kind = rest.chars().next();
    if rest.chars().count() > 1 {
        return fail!("{spec:.40} is no layout");
    }
    Ok(Spec { layout, kind })
}

/// Writes a value in a layout.
fn write(interpreter: &mut Interpreter, value: &Value, spec: &str, out: &mut Text) -> Result<()> {
    if spec.is_empty() {
        return display::write_str(value, out, &interpreter.objects);
    }
    let Spec { mut layout, kind } = layout_of(spec)?;
    match value {
        Value::Str(text) if matches!(kind, None | Some('s')) => {
            if layout.align == Some('=') {
                // A zero before the width means nothing for text but the fill.
                match spec.contains('=') {
                    true => return fail!("a text has no sign to pad after"),
                    false => layout.align = Some('<'),
                }
            }
            if layout.sign.is_some() || layout.grouping.is_some() || layout.alternate {
                return fail!("{spec:.40} is no layout for a text");
            }
            number::text(text, &layout, out)
        }
        Value::Int(_) | Value::Bool(_) => {
            let integer = value.as_int().unwrap_or(0);
            match kind {
                None | Some('d' | 'b' | 'o' | 'x' | 'X' | 'n') if layout.precision.is_some() => {
                    fail!("an integer has no precision")
                }
                None | Some('d' | 'n') => number::integer(integer, 'd', false).write(&layout, out),
                Some(kind @ ('b' | 'o' | 'x' | 'X')) => {
                    number::integer(integer, kind, layout.alternate).write(&layout, out)
                }
                Some('c') => match u32::try_from(integer).ok().and_then(char::from_u32) {
                    Some(c) => number::text(c.encode_utf8(&mut [0; 4]), &layout, out),
                    None => fail!("{integer} is no character"),
                },
                Some(kind) => float(integer as f64, Some(kind), &layout, out),
            }
        }
        Value::Float(number) => float(*number, kind, &layout, out),
        _ => fail!("{} has no layout {spec:.40}", value.type_name()),
    }
}

fn float(number: f64, kind: Option<char>, layout: &Layout, out: &mut Text) -> Result<()> {
    let mut digits = match kind {
        Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')) => {
            number::float(number, kind, layout.precision, layout.alternate)?
        }
        Some('%') => {
            let mut digits =
                number::float(number * 100.0, 'f', layout.precision, layout.alternate)?;
            digits.digits.push('%');
            digits
        }
        Some('n') => number::float(number, 'g', layout.precision, layout.alternate)?,
        None if layout.precision.is_some() => {
            number::float(number, 'g', layout.precision, layout.alternate)?
        }
        None => {
            let mut digits = number::float(number, 'g', None, false)?;
            if number.is_finite() {
                digits.digits = display::float(number.abs());
            }
            digits
        }
        Some(kind) => return fail!("a float has no layout {kind}"),
    };
    if kind.is_none() && layout.precision.is_some() && digits.group.is_some() {
        // Without a type there is always a digit after the point.
        if !digits.digits.contains(['.', 'e']) {
            digits.digits.push_str(".0");
        }
    }
    digits.write(layout, out)
}
