//! Printf-style formatting: `'%s' % x`.

use super::super::display;
use super::super::fault::{Fault, Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::value::{Kind, Value};
use super::closing_bracket;
use super::number::{self, Layout};

/// The values of a format.
struct Values<'v> {
    values: &'v Value,
    taken: usize,
    /// Whether a key was looked up. If so, unused values are no error.
    by_key: bool,
}

impl<'v> Values<'v> {
    fn next(&mut self) -> Result<&'v Value> {
        let value = match self.values {
            Value::Seq(seq) if seq.is_tuple() => seq.get(self.taken),
            value => Some(value).filter(|_| self.taken == 0),
        };
        self.taken += 1;
        value.ok_or_else(|| Fault::new("too few values for the format"))
    }

    fn number(&mut self) -> Result<i64> {
        match self.next()?.as_int() {
            Some(number) => Ok(number),
            None => fail!("a '*' in a format takes an integer"),
        }
    }

    /// Fails if values are unused, unless Python allows it.
    fn check_all_taken(&self) -> Result<()> {
        let enough = match self.values {
            Value::Seq(seq) if seq.is_tuple() => self.taken >= seq.len(),
            Value::Dict(_) | Value::Undefined(_) => true,
            Value::Seq(seq) => {
                self.taken > 0 || matches!(seq.kind, Kind::List | Kind::Range { .. })
            }
            _ => self.taken > 0,
        };
        if enough || self.by_key {
            return Ok(());
        }
        fail!("too many values for the format")
    }
}

/// `format % values`
pub fn format(interpreter: &mut Interpreter, format: &str, values: &Value) -> Result<Value> {
    let mut values = Values {
        values,
        taken: 0,
        by_key: false,
    };
    let mut out = Text::new(&interpreter.meter)?;
    interpreter.meter.work(2 * format.len())?;
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push(&rest[..at])?;
        rest = conversion(interpreter, &rest[at + 1..], &mut values, &mut out)?;
    }
    out.push(rest)?;
    values.check_all_taken()?;
    Ok(out.finish())
}

/// Writes one conversion and returns the rest of the format.
fn conversion<'f>(
    interpreter: &mut Interpreter,
    format: &'f str,
    values: &mut Values,
    out: &mut Text,
) -> Result<&'f str> {
    if let Some(rest) = format.strip_prefix('%') {
        out.push("%")?;
        return Ok(rest);
    }
    let mut rest = format;
    let mut looked_up = None;
    if let Some(after) = rest.strip_prefix('(') {
        let Some(end) = closing_bracket(after, b"()") else {
            return fail!("unterminated key in a format");
        };
        let Value::Dict(dict) = values.values else {
            return fail!("a format with keys takes a mapping");
        };
        let Some(value) = dict.get_str(&after[..end])? else {
            return fail!("there is no value for the key {:.40}", &after[..end]);
        };
        values.by_key = true;
        looked_up = Some(value);
        rest = &after[end + 1..];
    }
    let mut layout = Layout::default();
    let mut zeros = false;
    while let Some(flag) = rest.chars().next().filter(|c| "-+ #0".contains(*c)) {
        match flag {
            '-' => layout.align = Some('<'),
            '+' => layout.sign = Some('+'),
            ' ' => layout.sign = layout.sign.or(Some(' ')),
            '#' => layout.alternate = true,
            _ => zeros = true,
        }
        rest = &rest[1..];
    }
    if let Some(after) = rest.strip_prefix('*') {
        let width = values.number()?;
        if width < 0 {
            layout.align = Some('<');
        }
        layout.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        rest = after;
    } else {
        (layout.width, rest) = leading_number(rest)?;
    }
    if let Some(after) = rest.strip_prefix('.') {
        let precision = match after.strip_prefix('*') {
            Some(after) => {
                rest = after;
                usize::try_from(values.number()?).unwrap_or(0)
            }
            None => {
                let (precision, after) = leading_number(after)?;
                rest = after;
                precision
            }
        };
        layout.precision = Some(precision);
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let Some(kind) = rest.chars().next() else {
        return fail!("a format ends in the middle of a conversion");
    };
    rest = &rest[kind.len_utf8()..];
    let value = match looked_up {
        Some(value) => value,
        None => values.next()?,
    };
    if zeros && layout.align.is_none() && !"srac".contains(kind) {
        layout.align = Some('=');
        layout.fill = Some('0');
    }
    write(interpreter, kind, value, &mut layout, out)?;
    Ok(rest)
}

fn write(
    interpreter: &mut Interpreter,
    kind: char,
    value: &Value,
    layout: &mut Layout,
    out: &mut Text,
) -> Result<()> {
    let align = layout.align.unwrap_or('>');
    match kind {
        's' | 'r' | 'a' => {
            layout.align = Some(align);
            let mut shown = Text::new(&interpreter.meter)?;
            match kind {
                's' => display::write_str(value, &mut shown, &interpreter.objects)?,
                _ => display::write_repr(value, &mut shown, &interpreter.objects)?,
            }
            match kind {
                'a' => number::text(&ascii(shown.as_str()), layout, out),
                _ => number::text(shown.as_str(), layout, out),
            }
        }
        'c' => {
            layout.align = Some(align);
            layout.precision = None;
            let c = match (value.as_str(), value.as_int()) {
                (Some(text), _) => single(text),
                (_, Some(code)) => u32::try_from(code).ok().and_then(char::from_u32),
                _ => None,
            };
            match c {
                Some(c) => number::text(c.encode_utf8(&mut [0; 4]), layout, out),
                None => fail!("%c takes a character or its number"),
            }
        }
        'd' | 'i' | 'u' | 'o' | 'x' | 'X' => {
            let number = match (value.unless_undefined()?, value.as_int()) {
                (_, Some(number)) => number,
                (Value::Float(number), _) if matches!(kind, 'd' | 'i' | 'u') => truncate(*number)?,
                _ => return fail!("%{kind} takes a number, not {}", value.type_name()),
            };
            let base = if matches!(kind, 'i' | 'u') { 'd' } else { kind };
            let mut digits = number::integer(number, base, layout.alternate);
            // The precision is the min number of digits here.
            let fewest = layout.precision.unwrap_or(0);
            let missing = fewest.saturating_sub(digits.digits.len());
            let mut padded = Text::new(&interpreter.meter)?;
            number::pad('0', missing, &mut padded)?;
            padded.push(&digits.digits)?;
            digits.digits = padded.into_string();
            digits.write(layout, out)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => match value.unless_undefined()?.as_float() {
            Some(number) => {
                number::float(number, kind, layout.precision, layout.alternate)?.write(layout, out)
            }
            None => fail!("%{kind} takes a number, not {}", value.type_name()),
        },
        _ => fail!("there is no conversion %{kind}"),
    }
}

/// The number at the start of a format; 0 if there is none.
pub fn leading_number(text: &str) -> Result<(usize, &str)> {
    let end = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = text.split_at(end);
    match digits {
        "" => Ok((0, rest)),
        digits => match digits.parse() {
            Ok(number) => Ok((number, rest)),
            Err(_) => fail!("a number in a format is too large"),
        },
    }
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// A float without its fraction.
pub fn truncate(number: f64) -> Result<i64> {
    let whole = number.trunc();
    // The bounds are floats; the upper one is just out of range.
    if whole >= i64::MIN as f64 && whole < i64::MAX as f64 {
        Ok(whole as i64)
    } else {
        fail!("a number is too large")
    }
}

/// A string with escapes for everything that is not ASCII.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => out.push_str(&display::escape(c)),
        }
    }
    out
}
