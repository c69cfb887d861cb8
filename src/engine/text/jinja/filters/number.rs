//! Filters for numbers.

use super::super::arguments::{Args, flag, int_or};
use super::super::fault::{Fault, Result, fail};
use super::super::format::percent::truncate;
use super::super::interpreter::Interpreter;
use super::super::methods::case;
use super::super::unicode::is_space;
use super::super::value::Value;
use super::Filter;

pub const FILTERS: &[(&str, Filter)] = &[
    ("abs", abs),
    ("filesizeformat", filesizeformat),
    ("float", float),
    ("int", int),
    ("round", round),
];

fn abs(_: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("abs")?;
    match (value.unless_undefined()?, value.as_int()) {
        (_, Some(number)) => match number.checked_abs() {
            Some(number) => Ok(Value::Int(number)),
            None => fail!("a number becomes too large"),
        },
        (Value::Float(number), _) => Ok(Value::Float(number.abs())),
        _ => fail!("{} is not a number", value.type_name()),
    }
}

/// A string without the surrounding white space and the underscores that Python allows in numbers.
fn plain_digits(text: &str) -> Option<String> {
    let text = text.trim_matches(is_space);
    let separated = text.split('_');
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let parts: Vec<&str> = separated.collect();
    let valid = parts
        .windows(2)
        .all(|pair| is_digit(pair[0].chars().next_back()) && is_digit(pair[1].chars().next()));
    valid.then(|| parts.concat())
}

/// Parses an integer. Fails if it is out of range.
fn parse_int(text: &str, base: i64) -> Result<Option<i64>> {
    let base = match base {
        0 | 2..=36 => base as u32,
        _ => return fail!("the base of a number is 0 or between 2 and 36"),
    };
    let Some(digits) = plain_digits(text) else {
        return Ok(None);
    };
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let prefixed = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find(|(prefix, radix)| {
            let matches = digits
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix));
            matches && (base == 0 || base == *radix)
        });
    let (digits, radix) = match prefixed {
        Some((_, radix)) => (&digits[2..], radix),
        None if base == 0 => (digits, 10),
        None => (digits, base),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Ok(None);
    }
    let signed = if negative {
        format!("-{digits}")
    } else {
        digits.to_owned()
    };
    match i64::from_str_radix(&signed, radix) {
        Ok(number) => Ok(Some(number)),
        Err(_) => fail!("a number is too large"),
    }
}

/// Python's `float` of a value; `None` if that fails.
fn parse_float(value: &Value) -> Option<f64> {
    match value {
        Value::Str(text) => plain_digits(text)?.parse().ok(),
        value => value.as_float(),
    }
}

fn int(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [default, base] = args.bind("int", ["default", "base"])?;
    let base = int_or(&base, 10, "base")?;
    let whole = match (value.unless_undefined()?, value.as_int()) {
        (Value::Str(text), _) => {
            interpreter.meter.work(case::WORK * text.len())?;
            parse_int(text, base)?
        }
        (_, whole) => whole,
    };
    if let Some(whole) = whole {
        return Ok(Value::Int(whole));
    }
    match parse_float(&value) {
        Some(number) if number.is_finite() => truncate(number).map(Value::Int),
        // Python fails for infinite floats, but not for strings.
        Some(_) if matches!(value, Value::Float(f) if f.is_infinite()) => {
            fail!("infinity is not an integer")
        }
        _ => Ok(default.unwrap_or(Value::Int(0))),
    }
}

fn float(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [default] = args.bind("float", ["default"])?;
    if let Value::Str(text) = &value {
        interpreter.meter.work(case::WORK * text.len())?;
    }
    match parse_float(value.unless_undefined()?) {
        Some(number) => Ok(Value::Float(number)),
        None => Ok(default.unwrap_or(Value::Float(0.0))),
    }
}

fn round(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"])?;
    let precision = int_or(&precision, 0, "precision")?;
    let method = method.as_ref().map_or(Some("common"), Value::as_str);
    let scale = 10f64.powi(precision.clamp(-400, 400) as i32);
    let Some(number) = value.unless_undefined()?.as_float() else {
        return fail!("{} is not a number", value.type_name());
    };
    // Computing many digits of a float takes time.
    interpreter.meter.steps(precision.clamp(0, 400) as usize)?;
    match (method, value.as_int()) {
        (Some("common"), Some(whole)) if precision >= 0 => Ok(Value::Int(whole)),
        (Some("common"), Some(whole)) => Ok(Value::Int(round_whole(whole, precision)?)),
        (Some("common"), None) => Ok(Value::Float(round_float(number, precision))),
        // Python rounds to an integer, which has no negative zero.
        (Some("ceil"), _) => Ok(Value::Float(((number * scale).ceil() + 0.0) / scale)),
        (Some("floor"), _) => Ok(Value::Float(((number * scale).floor() + 0.0) / scale)),
        _ => fail!("the method of round is common, ceil or floor"),
    }
}

/// Rounds to a multiple of a power of ten, ties to even.
fn round_whole(number: i64, precision: i64) -> Result<i64> {
    let digits = u32::try_from(-precision).unwrap_or(u32::MAX);
    let Some(unit) = 10i64.checked_pow(digits) else {
        return Ok(0);
    };
    let (quotient, rest) = (number.div_euclid(unit), number.rem_euclid(unit));
    let up = rest > unit - rest || rest == unit - rest && quotient % 2 != 0;
    let rounded = quotient
        .checked_add(i64::from(up))
        .and_then(|q| q.checked_mul(unit));
    rounded.ok_or_else(|| Fault::new("a number becomes too large"))
}

fn round_float(number: f64, precision: i64) -> f64 {
    if precision >= 0 {
        // No float has more digits than this.
        let digits = precision.min(400) as usize;
        return format!("{number:.digits$}").parse().unwrap_or(number);
    }
    let scale = 10f64.powi(precision.unsigned_abs().min(400) as i32);
    let rounded = (number / scale).round_ties_even() * scale;
    if rounded.is_finite() {
        rounded
    } else {
        0.0f64.copysign(number)
    }
}

fn filesizeformat(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [binary] = args.bind("filesizeformat", ["binary"])?;
    let (base, infix, kilo) = match flag(&binary, false) {
        true => (1024.0, "i", "K"),
        false => (1000.0, "", "k"),
    };
    let Some(bytes) = parse_float(value.unless_undefined()?) else {
        return fail!("{} is not a size", value.type_name());
    };
    if bytes == 1.0 {
        return Value::str(&interpreter.meter, "1 Byte");
    }
    if bytes < base {
        return Value::str(&interpreter.meter, &format!("{} Bytes", truncate(bytes)?));
    }
    let (mut size, mut prefix) = (bytes / base, kilo);
    for larger in ["M", "G", "T", "P", "E", "Z", "Y"] {
        if size < base {
            break;
        }
        (size, prefix) = (size / base, larger);
    }
    Value::str(&interpreter.meter, &format!("{size:.1} {prefix}{infix}B"))
}
