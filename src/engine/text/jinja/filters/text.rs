//! Filters for strings. Other values are converted to strings.

use super::super::arguments::{self, Args, flag, int_or, length, required};
use super::super::display;
use super::super::fault::{Result, fail};
use super::super::format::percent;
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::methods::{case, shape};
use super::super::unicode::{is_space, is_word, lines};
use super::super::value::{Dict, Value};
use super::{Filter, wrap};

pub const FILTERS: &[(&str, Filter)] = &[
    ("capitalize", |interpreter, value, args| {
        args.none("capitalize")?;
        let text = interpreter.text_of(&value)?;
        case::capitalize(&interpreter.meter, &text)
    }),
    ("center", center),
    ("e", escape),
    ("escape", escape),
    ("forceescape", escape),
    ("format", format),
    ("indent", indent),
    ("join", join),
    ("lower", |interpreter, value, args| {
        args.none("lower")?;
        let text = interpreter.text_of(&value)?;
        case::lower(&interpreter.meter, &text)
    }),
    ("replace", replace),
    ("title", title),
    ("trim", trim),
    ("truncate", truncate),
    ("upper", |interpreter, value, args| {
        args.none("upper")?;
        let text = interpreter.text_of(&value)?;
        case::upper(&interpreter.meter, &text)
    }),
    ("urlencode", urlencode),
    ("wordcount", wordcount),
    ("wordwrap", wrap::wordwrap),
];

fn center(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [width] = args.bind("center", ["width"])?;
    let width = length(int_or(&width, 80, "width")?);
    let text = interpreter.text_of(&value)?;
    shape::pad(&interpreter.meter, &text, "center", width, " ")
}

fn escape(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("escape")?;
    let text = interpreter.text_of(&value)?;
    let mut out = Text::new(&interpreter.meter)?;
    for c in text.chars() {
        match c {
            '&' => out.push("&amp;")?,
            '<' => out.push("&lt;")?,
            '>' => out.push("&gt;")?,
            '"' => out.push("&#34;")?,
            '\'' => out.push("&#39;")?,
            c => out.push_char(c)?,
        }
    }
    Ok(out.finish())
}

fn format(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let text = interpreter.text_of(&value)?;
    let values = match (args.positional.is_empty(), args.named.is_empty()) {
        (_, true) => Value::tuple(&interpreter.meter, args.positional)?,
        (true, false) => {
            let mut dict = Dict::new(&interpreter.meter)?;
            for (name, value) in args.named {
                dict.insert(Value::str(&interpreter.meter, &name)?, value)?;
            }
            dict.finish()?
        }
        (false, false) => return fail!("format takes values in order or by name, not both"),
    };
    percent::format(interpreter, &text, &values)
}

fn indent(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"])?;
    let text = arguments::str(&value, "what is indented")?;
    let mut unit = Text::new(&interpreter.meter)?;
    match &width {
        Some(Value::Str(width)) => unit.push(width)?,
        width => unit.repeat(" ", length(int_or(width, 4, "width")?))?,
    }
    let mut out = Text::new(&interpreter.meter)?;
    let mut is_first = true;
    let mut line = |line: &str, out: &mut Text| {
        let indented = match std::mem::take(&mut is_first) {
            true => flag(&first, false),
            false => {
                out.push("\n")?;
                !line.is_empty() || flag(&blank, false)
            }
        };
        if indented {
            out.push(unit.as_str())?;
        }
        out.push(line)
    };
    let mut ended = true;
    for (content, end) in lines(text) {
        line(content, &mut out)?;
        ended = !end.is_empty();
    }
    if ended {
        line("", &mut out)?;
    }
    Ok(out.finish())
}

fn join(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
    let separator = match separator {
        Some(separator) => Some(interpreter.text_of(&separator)?),
        None => None,
    };
    let items = interpreter.items(&value)?;
    let mut out = Text::new(&interpreter.meter)?;
    for (at, item) in items.iter().enumerate() {
        if at > 0
            && let Some(separator) = &separator
        {
            out.push(separator)?;
        }
        interpreter.meter.steps(1)?;
        let item = match attribute.as_ref().filter(|attribute| !attribute.is_none()) {
            Some(attribute) => interpreter.path(item, attribute)?,
            None => item.clone(),
        };
        display::write_str(&item, &mut out, &interpreter.objects)?;
    }
    Ok(out.finish())
}

fn replace(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [old, new, count] = args.bind("replace", ["old", "new", "count"])?;
    let count = match count.filter(|count| !count.is_none()) {
        Some(count) => arguments::int(&count, "count")?,
        None => -1,
    };
    let text = interpreter.text_of(&value)?;
    let old = interpreter.text_of(&required(old, "old")?)?;
    let new = interpreter.text_of(&required(new, "new")?)?;
    interpreter.meter.work(text.len())?;
    shape::replace(&interpreter.meter, &text, &old, &new, count)
}

/// By Jinja's rule, words begin after white space, hyphens and opening brackets.
fn title(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("title")?;
    let text = interpreter.text_of(&value)?;
    let parts_words = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = Text::new(&interpreter.meter)?;
    for word in text.split_inclusive(parts_words) {
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            first.to_uppercase().try_for_each(|c| out.push_char(c))?;
            interpreter.meter.work(2 * word.len())?;
            out.push(&chars.as_str().to_lowercase())?;
        }
    }
    Ok(out.finish())
}

fn trim(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [chars] = args.bind("trim", ["chars"])?;
    let text = interpreter.text_of(&value)?;
    let chars = chars.filter(|chars| !chars.is_none());
    let chars = match &chars {
        Some(chars) => Some(arguments::str(chars, "chars")?),
        None => None,
    };
    shape::strip(&interpreter.meter, &text, "strip", chars)
}

fn truncate(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [max, killwords, end, leeway] =
        args.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let max = int_or(&max, 255, "length")?;
    let leeway = int_or(&leeway.filter(|leeway| !leeway.is_none()), 5, "leeway")?;
    let end = match &end {
        Some(end) => arguments::str(end, "end")?,
        None => "...",
    };
    let end_length = end.chars().count();
    if max < end_length as i64 || leeway < 0 {
        return fail!("a truncated text has no room for its end");
    }
    if interpreter.count(&value)? as i64 <= max.saturating_add(leeway) {
        return Ok(value);
    }
    let text = arguments::str(&value, "what is truncated")?;
    let kept = length(max) - end_length;
    let kept = match text.char_indices().nth(kept) {
        Some((at, _)) => &text[..at],
        None => text,
    };
    let kept = match kept.rsplit_once(' ') {
        Some((words, _)) if !flag(&killwords, false) => words,
        _ => kept,
    };
    let mut out = Text::new(&interpreter.meter)?;
    out.push(kept)?;
    out.push(end)?;
    Ok(out.finish())
}

fn urlencode(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("urlencode")?;
    let mut out = Text::new(&interpreter.meter)?;
    let pairs = match &value {
        Value::Dict(dict) => dict.entries().to_vec(),
        Value::Seq(_) => {
            let mut pairs = Vec::new();
            for pair in interpreter.items(&value)?.iter() {
                interpreter.meter.steps(2)?;
                match &interpreter.items(pair)?[..] {
                    [key, value] => pairs.push((key.clone(), value.clone())),
                    _ => return fail!("urlencode takes pairs of a key and a value"),
                }
            }
            pairs
        }
        _ => {
            let text = interpreter.text_of(&value)?;
            percent_encode(&text, "/", &mut out)?;
            return Ok(out.finish());
        }
    };
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push("&")?;
        }
        for (at, part) in [key, value].into_iter().enumerate() {
            if at > 0 {
                out.push("=")?;
            }
            let text = interpreter.text_of(part)?;
            percent_encode(&text, " ", &mut out)?;
        }
    }
    Ok(out.finish())
}

/// Percent-encodes all characters except unreserved ones and `kept`; a kept space becomes a plus.
fn percent_encode(text: &str, kept: &str, out: &mut Text) -> Result<()> {
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) {
            out.push_char(c)?;
        } else if byte.is_ascii() && kept.contains(c) {
            out.push_char(if c == ' ' { '+' } else { c })?;
        } else {
            out.push(&format!("%{byte:02X}"))?;
        }
    }
    Ok(())
}

fn wordcount(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("wordcount")?;
    let text = interpreter.text_of(&value)?;
    interpreter.meter.work(case::WORK * text.len())?;
    let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
    Ok(Value::Int(words.count() as i64))
}
