//! Format specs: the part of a field in braces after the colon.

use super::super::display;
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::value::Value;
use super::number::{self, Layout};
use super::percent::leading_number;

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
        return fail!("{spec:.40} is not a format spec");
    }
    Ok(Spec { layout, kind })
}

/// Writes a value with a format spec.
pub fn write(
    interpreter: &mut Interpreter,
    value: &Value,
    spec: &str,
    out: &mut Text,
) -> Result<()> {
    if spec.is_empty() {
        return display::write_str(value, out, &interpreter.objects);
    }
    let Spec { mut layout, kind } = layout_of(spec)?;
    let has_groups = match (layout.grouping, kind) {
        (Some(','), Some('b' | 'o' | 'x' | 'X')) | (Some(_), Some('c' | 'n' | 's')) => false,
        (_, Some('c')) => {
            layout.precision.or(layout.sign.map(|_| 0)).is_none() && !layout.alternate
        }
        _ => true,
    };
    if !has_groups {
        return fail!("{spec:.40} is not a format spec");
    }
    match value {
        Value::Str(text) if matches!(kind, None | Some('s')) => {
            if layout.align == Some('=') {
                // For strings, a zero before the width only sets the fill.
                match spec.contains('=') {
                    true => return fail!("a string has no sign to pad after"),
                    false => layout.align = Some('<'),
                }
            }
            if layout.sign.is_some() || layout.grouping.is_some() || layout.alternate {
                return fail!("{spec:.40} is not a format spec for a string");
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
                    None => fail!("{integer} is not a character"),
                },
                Some(kind) => float(integer as f64, Some(kind), &layout, out),
            }
        }
        Value::Float(number) => float(*number, kind, &layout, out),
        _ => fail!(
            "{} does not support the format spec {spec:.40}",
            value.type_name()
        ),
    }
}

fn float(number: f64, kind: Option<char>, layout: &Layout, out: &mut Text) -> Result<()> {
    let digits = match kind {
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
            number::float(number, 'r', layout.precision, layout.alternate)?
        }
        None => {
            let mut digits = number::float(number, 'g', None, false)?;
            if number.is_finite() {
                digits.digits = display::float(number.abs());
            }
            digits
        }
        Some(kind) => return fail!("a float does not support the format {kind}"),
    };
    digits.write(layout, out)
}
