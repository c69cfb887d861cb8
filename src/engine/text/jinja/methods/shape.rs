//! Methods of strings that split, strip, replace and pad.

use super::super::arguments::{self, Args, int_or, length, required};
use super::super::fault::{Result, fail};
use super::super::meter::{Meter, Text};
use super::super::unicode::{is_space, lines};
use super::super::value::{Kind, List, Value};
use std::rc::Rc;

/// The methods of this module.
pub const NAMES: [&str; 16] = [
    "center",
    "expandtabs",
    "ljust",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "strip",
    "zfill",
];

/// Calls a method of this module.
pub fn call(meter: &Rc<Meter>, text: &str, name: &str, args: Args) -> Result<Value> {
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = args.bind(name, ["chars"])?;
            let chars = chars.filter(|chars| !chars.is_none());
            let chars = match &chars {
                Some(chars) => Some(arguments::str(chars, "chars")?),
                None => None,
            };
            strip(meter, text, name, chars)
        }
        "split" | "rsplit" => {
            let [separator, count] = args.bind(name, ["sep", "maxsplit"])?;
            let count = int_or(&count, -1, "maxsplit")?;
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            match separator.filter(|separator| !separator.is_none()) {
                None => split_at_space(meter, text, count, name == "rsplit"),
                Some(separator) => {
                    let separator = arguments::str(&separator, "sep")?;
                    split_at(meter, text, separator, count, name == "rsplit")
                }
            }
        }
        "splitlines" => {
            let [keepends] = args.bind(name, ["keepends"])?;
            let keepends = arguments::flag(&keepends, false);
            let mut list = List::new(meter)?;
            for (line, end) in lines(text) {
                let mut part = Text::new(meter)?;
                part.push(line)?;
                if keepends {
                    part.push(end)?;
                }
                list.push(part.finish())?;
            }
            list.finish(Kind::List)
        }
        "partition" | "rpartition" => {
            let [separator] = args.bind(name, ["sep"])?;
            let separator = required(separator, "sep")?;
            let separator = arguments::str(&separator, "sep")?;
            if separator.is_empty() {
                return fail!("the separator is empty");
            }
            meter.work(separator.len())?;
            let parts = match name {
                "partition" => match text.split_once(separator) {
                    Some((before, after)) => [before, separator, after],
                    None => [text, "", ""],
                },
                _ => match text.rsplit_once(separator) {
                    Some((before, after)) => [before, separator, after],
                    None => ["", "", text],
                },
            };
            let mut list = List::new(meter)?;
            parts.iter().try_for_each(|part| list.push_str(part))?;
            list.finish(Kind::Tuple)
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = args.bind(name, ["affix"])?;
            let affix = required(affix, "affix")?;
            let affix = arguments::str(&affix, "affix")?;
            let rest = match name {
                "removeprefix" => text.strip_prefix(affix),
                _ => text.strip_suffix(affix),
            };
            Value::str(meter, rest.unwrap_or(text))
        }
        "replace" => {
            let [old, new, count] = args.bind(name, ["old", "new", "count"])?;
            let (old, new) = (required(old, "old")?, required(new, "new")?);
            let count = int_or(&count, -1, "count")?;
            let (old, new) = (arguments::str(&old, "old")?, arguments::str(&new, "new")?);
            replace(meter, text, old, new, count)
        }
        "center" | "ljust" | "rjust" => {
            let [width, fill] = args.bind(name, ["width", "fillchar"])?;
            let width = arguments::int(&required(width, "width")?, "width")?;
            let fill = match &fill {
                Some(fill) => arguments::str(fill, "fillchar")?,
                None => " ",
            };
            if fill.chars().count() != 1 {
                return fail!("fillchar has to be one character");
            }
            pad(meter, text, name, length(width), fill)
        }
        "zfill" => {
            let [width] = args.bind(name, ["width"])?;
            let width = length(arguments::int(&required(width, "width")?, "width")?);
            let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
            let mut out = Text::new(meter)?;
            out.push(&text[..sign])?;
            out.repeat("0", width.saturating_sub(text.chars().count()))?;
            out.push(&text[sign..])?;
            Ok(out.finish())
        }
        "expandtabs" => {
            let [size] = args.bind(name, ["tabsize"])?;
            expand_tabs(meter, text, length(int_or(&size, 8, "tabsize")?))
        }
        _ => fail!("a string has no method {name}"),
    }
}

/// Strips white space, or the given characters, from the ends of a string.
pub fn strip(meter: &Rc<Meter>, text: &str, name: &str, chars: Option<&str>) -> Result<Value> {
    // Each character may be compared with each of the set.
    meter.work(text.len().saturating_mul(chars.map_or(1, str::len)))?;
    let goes = |c: char| match chars {
        Some(chars) => chars.contains(c),
        None => is_space(c),
    };
    Value::str(
        meter,
        match name {
            "lstrip" => text.trim_start_matches(goes),
            "rstrip" => text.trim_end_matches(goes),
            _ => text.trim_matches(goes),
        },
    )
}

/// Splits at a separator.
fn split_at(
    meter: &Rc<Meter>,
    text: &str,
    separator: &str,
    count: usize,
    backwards: bool,
) -> Result<Value> {
    if separator.is_empty() {
        return fail!("the separator is empty");
    }
    meter.work(separator.len())?;
    let mut list = List::new(meter)?;
    let parts = count.saturating_add(1);
    if backwards {
        text.rsplitn(parts, separator)
            .try_for_each(|part| list.push_str(part))?;
        list.reverse();
    } else {
        text.splitn(parts, separator)
            .try_for_each(|part| list.push_str(part))?;
    }
    list.finish(Kind::List)
}

/// Splits at runs of white space. After `count` splits the rest is one part, which keeps the white space at its far
/// end.
fn split_at_space(meter: &Rc<Meter>, text: &str, count: usize, backwards: bool) -> Result<Value> {
    let mut list = List::new(meter)?;
    if backwards {
        let mut rest = text.trim_end_matches(is_space);
        while list.len() < count
            && let Some((at, c)) = rest.char_indices().rev().find(|(_, c)| is_space(*c))
        {
            list.push_str(&rest[at + c.len_utf8()..])?;
            rest = rest[..at].trim_end_matches(is_space);
        }
        if !rest.is_empty() {
            list.push_str(rest)?;
        }
        list.reverse();
    } else {
        let mut rest = text.trim_start_matches(is_space);
        while list.len() < count
            && let Some(at) = rest.find(is_space)
        {
            list.push_str(&rest[..at])?;
            rest = rest[at..].trim_start_matches(is_space);
        }
        if !rest.is_empty() {
            list.push_str(rest)?;
        }
    }
    list.finish(Kind::List)
}

/// Replaces a substring, at most `count` times unless that is negative.
pub fn replace(meter: &Rc<Meter>, text: &str, old: &str, new: &str, count: i64) -> Result<Value> {
    meter.work(4 * old.len())?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut out = Text::new(meter)?;
    let mut rest = 0;
    for (at, part) in text.match_indices(old).take(count) {
        out.push(&text[rest..at])?;
        out.push(new)?;
        rest = at + part.len();
    }
    out.push(&text[rest..])?;
    Ok(out.finish())
}

/// Pads a string to a width.
pub fn pad(meter: &Rc<Meter>, text: &str, name: &str, width: usize, fill: &str) -> Result<Value> {
    let missing = width.saturating_sub(text.chars().count());
    let before = match name {
        "ljust" => 0,
        "rjust" => missing,
        // If the width is odd, Python puts an odd padding character before the text.
        _ => missing / 2 + (missing & width & 1),
    };
    let mut out = Text::new(meter)?;
    out.repeat(fill, before)?;
    out.push(text)?;
    out.repeat(fill, missing - before)?;
    Ok(out.finish())
}

fn expand_tabs(meter: &Rc<Meter>, text: &str, size: usize) -> Result<Value> {
    let mut out = Text::new(meter)?;
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let spaces = match size {
                    0 => 0,
                    size => size - column % size,
                };
                out.repeat(" ", spaces)?;
                column += spaces;
            }
            _ => {
                out.push_char(c)?;
                column = if matches!(c, '\n' | '\r') {
                    0
                } else {
                    column + 1
                };
            }
        }
    }
    Ok(out.finish())
}
