//! Number and string literals.

use super::fault::{Result, fail};

/// A number literal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

/// The number at the start of `text` and its length in bytes. After a dot, a number has no fraction: `x.1.2` has two
/// subscripts.
pub fn number(text: &str, after_dot: bool) -> Result<Option<(Number, usize)>> {
    if !after_dot && let Some(length) = float_length(text) {
        let plain = text[..length].replace('_', "");
        return match plain.parse() {
            Ok(number) => Ok(Some((Number::Float(number), length))),
            Err(_) => fail!("{plain} is not a number"),
        };
    }
    let Some((length, radix)) = int_length(text) else {
        return Ok(None);
    };
    let plain = text[..length].replace('_', "");
    let digits = if radix == 10 { &plain } else { &plain[2..] };
    match i64::from_str_radix(digits, radix) {
        Ok(number) => Ok(Some((Number::Int(number), length))),
        Err(_) => fail!("the number {plain:.40} is too large"),
    }
}

/// Length of a run of digits with optional single underscores between them.
fn digits(text: &str, is_digit: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let is = |at: usize| bytes.get(at).copied().is_some_and(&is_digit);
    let mut end = 0;
    while is(end) || end > 0 && bytes.get(end) == Some(&b'_') && is(end + 1) {
        end += 1;
    }
    end
}

/// `1.5`, `1e5` or `1.5e-5`
fn float_length(text: &str) -> Option<usize> {
    let decimal = |text: &str| digits(text, |b| b.is_ascii_digit());
    let whole = decimal(text);
    if whole == 0 {
        return None;
    }
    let fraction = match text[whole..].strip_prefix('.').map(decimal) {
        None | Some(0) => 0,
        Some(length) => 1 + length,
    };
    let end = whole + fraction;
    let exponent = text[end..].strip_prefix(['e', 'E']).and_then(|rest| {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let length = decimal(&rest[sign..]);
        (length > 0).then_some(1 + sign + length)
    });
    match exponent {
        Some(length) => Some(end + length),
        None => (fraction > 0).then_some(end),
    }
}

fn int_length(text: &str) -> Option<(usize, u32)> {
    for (radix, prefix) in [(2, ["0b", "0B"]), (8, ["0o", "0O"]), (16, ["0x", "0X"])] {
        if let Some(rest) = prefix.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            let rest_length = match rest.strip_prefix('_') {
                Some(rest) => 1 + digits(rest, |b| char::from(b).is_digit(radix)),
                None => digits(rest, |b| char::from(b).is_digit(radix)),
            };
            if rest_length > 1 || rest_length == 1 && !rest.starts_with('_') {
                return Some((2 + rest_length, radix));
            }
        }
    }
    match text.bytes().next()? {
        b'0' => Some((digits(text, |b| b == b'0'), 10)),
        b'1'..=b'9' => Some((digits(text, |b| b.is_ascii_digit()), 10)),
        _ => None,
    }
}

/// The contents of a string literal, with escapes resolved as in Python.
pub fn unescape(quoted: &str) -> Result<String> {
    let mut out = String::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            return fail!("a string ends in a backslash");
        };
        let after = &rest[c.len_utf8()..];
        let simple = match c {
            '\n' => Some(""),
            '\\' => Some("\\"),
            '\'' => Some("'"),
            '"' => Some("\""),
            'a' => Some("\x07"),
            'b' => Some("\x08"),
            'f' => Some("\x0c"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            'v' => Some("\x0b"),
            _ => None,
        };
        if let Some(text) = simple {
            out.push_str(text);
            rest = after;
            continue;
        }
        let (digits, radix, used) = match c {
            'x' => (after, 16, 2),
            'u' => (after, 16, 4),
            'U' => (after, 16, 8),
            '0'..='7' => {
                let length = rest
                    .bytes()
                    .take(3)
                    .take_while(|b| matches!(b, b'0'..=b'7'))
                    .count();
                (rest, 8, length)
            }
            'N' => return fail!("\\N{{…}} escapes are not supported"),
            _ => {
                out.push('\\');
                out.push(c);
                rest = after;
                continue;
            }
        };
        let code = digits
            .get(..used)
            .filter(|digits| digits.bytes().all(|b| char::from(b).is_digit(radix)))
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .and_then(char::from_u32);
        match code {
            Some(c) => out.push(c),
            None => return fail!("invalid escape \\{c} in a string"),
        }
        rest = &digits[used..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_as_in_python() {
        let cases = [
            ("1_000x", Number::Int(1000), 5),
            ("0x_fFg", Number::Int(255), 5),
            ("0b102", Number::Int(2), 4),
            ("0o17", Number::Int(15), 4),
            ("0xg", Number::Int(0), 1),
            ("0_0", Number::Int(0), 3),
            ("012", Number::Int(0), 1),
            ("1.", Number::Int(1), 1),
            ("1.x", Number::Int(1), 1),
            ("1.5e", Number::Float(1.5), 3),
            ("1e-3.", Number::Float(0.001), 4),
            ("1__0", Number::Int(1), 1),
            ("1_e5", Number::Int(1), 1),
        ];
        for (text, value, length) in cases {
            assert_eq!(
                number(text, false).unwrap(),
                Some((value, length)),
                "{text}"
            );
        }
        assert_eq!(number("1.5", true).unwrap(), Some((Number::Int(1), 1)));
        assert_eq!(number("x", false).unwrap(), None);
        assert!(number("9223372036854775808", false).is_err());
    }

    #[test]
    fn escapes_match_python() {
        for (quoted, text) in [
            (r"a\n\t\\\'", "a\n\t\\'"),
            (r"\x41\u00e9\U0001F600\101\0", "Aé😀A\0"),
            (r"\d\.", r"\d\."),
            ("a\\\nb", "ab"),
            ("é\\né", "é\né"),
        ] {
            assert_eq!(unescape(quoted).unwrap(), text, "{quoted}");
        }
        for wrong in [r"\x4", r"\u12", r"\ud800", r"\xé0", r"\N{DASH}", "\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
