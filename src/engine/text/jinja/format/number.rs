//! Formats numbers as Python does.

use super::super::fault::{Result, fail};
use super::super::meter::Text;

/// Max digits after the point.
const MAX_PRECISION: usize = 4096;

/// The layout of a value.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    pub fill: Option<char>,
    /// `<`, `>`, `^`, or `=` for padding between sign and digits.
    pub align: Option<char>,
    /// `+` or a space before non-negative numbers.
    pub sign: Option<char>,
    /// `#`: prefixes such as `0x`, and always a decimal point.
    pub alternate: bool,
    pub width: usize,
    /// `,` or `_` between groups of digits.
    pub grouping: Option<char>,
    pub precision: Option<usize>,
}

/// A number before padding.
#[derive(Debug)]
pub struct Digits {
    pub negative: bool,
    /// A prefix such as `0x`.
    pub prefix: &'static str,
    pub digits: String,
    /// Number of digits between separators; `None` if it is not a number.
    pub group: Option<usize>,
}

/// An integer in the base of `kind`: `d`, `b`, `o`, `x` or `X`.
pub fn integer(number: i64, kind: char, alternate: bool) -> Digits {
    let size = number.unsigned_abs();
    let (prefix, digits) = match kind {
        'b' => ("0b", format!("{size:b}")),
        'o' => ("0o", format!("{size:o}")),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        _ => ("", size.to_string()),
    };
    Digits {
        negative: number < 0,
        prefix: if alternate { prefix } else { "" },
        digits,
        group: Some(if kind == 'd' { 3 } else { 4 }),
    }
}

/// A float in the form of `kind`: `e`, `f`, `g` or their capitals, or `r`, which is `g` with at least one digit after the
/// point.
pub fn float(number: f64, kind: char, precision: Option<usize>, alternate: bool) -> Result<Digits> {
    let precision = precision.unwrap_or(6);
    if precision > MAX_PRECISION {
        return fail!("a number can have at most {MAX_PRECISION} digits after the point");
    }
    let size = number.abs();
    let mut digits = if size.is_nan() {
        "nan".into()
    } else if size.is_infinite() {
        "inf".into()
    } else {
        match kind.to_ascii_lowercase() {
            'e' => exponential(size, precision, alternate),
            'g' => general(size, precision, alternate, 0),
            'r' => match general(size, precision, alternate, 1) {
                digits if digits.contains(['.', 'e']) => digits,
                digits => digits + ".0",
            },
            _ => fixed(size, precision, alternate),
        }
    };
    if kind.is_ascii_uppercase() {
        digits.make_ascii_uppercase();
    }
    Ok(Digits {
        negative: number.is_sign_negative() && !number.is_nan(),
        prefix: "",
        digits,
        group: number.is_finite().then_some(3),
    })
}

fn fixed(size: f64, precision: usize, alternate: bool) -> String {
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{size:.precision$}{point}")
}

fn exponential(size: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if alternate && precision == 0 { "." } else { "" };
    with_exponent(&format!("{digits}{point}"), exponent.parse().unwrap_or(0))
}

fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// The shorter of the fixed and exponent forms, with `precision` digits in total and at least `after_point` after the
/// point.
fn general(size: f64, precision: usize, alternate: bool, after_point: i64) -> String {
    let precision = precision.max(1);
    let text = format!("{size:.*e}", precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let is_fixed = exponent >= -4 && i64::from(exponent) < precision as i64 - after_point;
    let mut digits = if is_fixed {
        let after = (precision as i64 - 1 - i64::from(exponent)).max(0) as usize;
        format!("{size:.after$}")
    } else {
        digits.to_owned()
    };
    if alternate {
        if !digits.contains('.') {
            digits.push('.');
        }
    } else if digits.contains('.') {
        digits.truncate(digits.trim_end_matches('0').trim_end_matches('.').len());
    }
    if is_fixed {
        digits
    } else {
        with_exponent(&digits, exponent)
    }
}

impl Digits {
    /// Writes the number with its layout.
    pub fn write(&self, layout: &Layout, out: &mut Text) -> Result<()> {
        let sign = match (self.negative, layout.sign) {
            (true, _) => "-",
            (false, Some('+')) => "+",
            (false, Some(' ')) => " ",
            _ => "",
        };
        let separator = layout.grouping.zip(self.group);
        let digits = match separator {
            Some((separator, group)) => grouped(&self.digits, separator, group),
            None => self.digits.clone(),
        };
        let length = sign.len() + self.prefix.len() + digits.len();
        let fill = layout.fill.unwrap_or(' ');
        let missing = layout.width.saturating_sub(length);
        if layout.align == Some('=') {
            out.push(sign)?;
            out.push(self.prefix)?;
            match separator.filter(|_| fill == '0') {
                None => {
                    pad(fill, missing, out)?;
                    out.push(&digits)
                }
                Some((separator, group)) => {
                    let width = digits.len().saturating_add(missing);
                    out.push(&self.zeros_in_groups(width, separator, group)?)
                }
            }
        } else {
            let (before, after) = split_padding(layout.align.unwrap_or('>'), missing);
            pad(fill, before, out)?;
            for part in [sign, self.prefix, &digits] {
                out.push(part)?;
            }
            pad(fill, after, out)
        }
    }

    /// The digits, zero-padded and grouped, with at least `width` characters.
    fn zeros_in_groups(&self, width: usize, separator: char, group: usize) -> Result<String> {
        let whole = whole_digits(&self.digits);
        let width = width - (self.digits.len() - whole);
        // The min number of digits that fill the width together with their separators.
        let fewest = width - width / (group + 1);
        let is_enough = fewest + fewest.saturating_sub(1) / group >= width;
        let zeros = (fewest + usize::from(!is_enough)).saturating_sub(whole);
        if zeros > MAX_PRECISION {
            return fail!("a number can be padded with at most {MAX_PRECISION} zeros");
        }
        let padded = "0".repeat(zeros) + &self.digits;
        Ok(grouped(&padded, separator, group))
    }
}

/// Number of digits before the point or the exponent.
fn whole_digits(digits: &str) -> usize {
    digits.find(['.', 'e', 'E', '%']).unwrap_or(digits.len())
}

/// Adds separators between groups of digits before the point.
fn grouped(digits: &str, separator: char, size: usize) -> String {
    let whole = whole_digits(digits);
    let mut out = String::new();
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && at < whole && (whole - at).is_multiple_of(size) {
            out.push(separator);
        }
        out.push(c);
    }
    out
}

/// Writes a string with its layout.
pub fn text(text: &str, layout: &Layout, out: &mut Text) -> Result<()> {
    let shown = match layout.precision {
        Some(precision) => match text.char_indices().nth(precision) {
            Some((end, _)) => &text[..end],
            None => text,
        },
        None => text,
    };
    let missing = layout.width.saturating_sub(shown.chars().count());
    let (before, after) = split_padding(layout.align.unwrap_or('<'), missing);
    let fill = layout.fill.unwrap_or(' ');
    pad(fill, before, out)?;
    out.push(shown)?;
    pad(fill, after, out)
}

fn split_padding(align: char, missing: usize) -> (usize, usize) {
    match align {
        '<' => (0, missing),
        '^' => (missing / 2, missing - missing / 2),
        _ => (missing, 0),
    }
}

pub fn pad(fill: char, times: usize, out: &mut Text) -> Result<()> {
    out.repeat(fill.encode_utf8(&mut [0; 4]), times)
}
