//! `wordwrap`, which works like Python's `textwrap`, except for dashes between words.

use super::super::arguments::{self, Args, flag, int_or};
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::unicode::lines;
use super::super::value::Value;

pub fn wordwrap(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [width, break_long_words, wrapstring, break_on_hyphens] = args.bind(
        "wordwrap",
        [
            "width",
            "break_long_words",
            "wrapstring",
            "break_on_hyphens",
        ],
    )?;
    let text = arguments::str(&value, "what is wrapped")?;
    let width = match usize::try_from(int_or(&width, 79, "width")?) {
        Ok(width @ 1..) => width,
        _ => return fail!("the width of a line has to be at least 1"),
    };
    let wrapstring = wrapstring.filter(|wrapstring| !wrapstring.is_none());
    let wrapstring = match &wrapstring {
        Some(wrapstring) => arguments::str(wrapstring, "wrapstring")?,
        None => "\n",
    };
    interpreter.meter.work(8 * text.len())?;
    let mut wrap = Wrap {
        width,
        long_words: flag(&break_long_words, true),
        hyphens: flag(&break_on_hyphens, true),
        wrapstring,
        out: Text::new(&interpreter.meter)?,
    };
    for (at, (line, _)) in lines(text).enumerate() {
        if at > 0 {
            wrap.out.push(wrapstring)?;
        }
        wrap.line(line)?;
    }
    Ok(wrap.out.finish())
}

struct Wrap<'w> {
    width: usize,
    long_words: bool,
    hyphens: bool,
    wrapstring: &'w str,
    out: Text,
}

impl Wrap<'_> {
    fn line(&mut self, mut rest: &str) -> Result<()> {
        let mut is_first = true;
        while !rest.is_empty() {
            if !is_first {
                rest = rest.trim_start_matches(is_blank);
            }
            let (kept, left) = self.fill(rest)?;
            let kept = kept.trim_end_matches(is_blank);
            rest = left;
            if kept.is_empty() {
                continue;
            }
            if !is_first {
                self.out.push(self.wrapstring)?;
            }
            is_first = false;
            self.out.push(kept)?;
        }
        Ok(())
    }

    /// Splits off the text that fits in a line: at least one character, unless the text is empty.
    fn fill<'t>(&self, text: &'t str) -> Result<(&'t str, &'t str)> {
        let (mut end, mut used) = (0, 0);
        while end < text.len() {
            let chunk = self.chunk(&text[end..]);
            let length = text[end..end + chunk].chars().count();
            self.out.meter().work(32 + 4 * chunk)?;
            if used + length > self.width {
                if length > self.width {
                    end += self.part_of_long_word(&text[end..end + chunk], used);
                }
                break;
            }
            used += length;
            end += chunk;
        }
        Ok(text.split_at(end))
    }

    /// Bytes of an overlong word that go into the current line, in which `used` characters are taken.
    fn part_of_long_word(&self, word: &str, used: usize) -> usize {
        if !self.long_words {
            return if used == 0 { word.len() } else { 0 };
        }
        let room = self.width - used;
        let end = nth(word, room);
        match word[..end].rfind('-').filter(|_| self.hyphens) {
            Some(hyphen) if hyphen > 0 && word[..hyphen].contains(|c| c != '-') => hyphen + 1,
            _ => end,
        }
    }

    /// Length of the first unbreakable piece: a run of white space, or a word up to a hyphen between letters. A word
    /// that is broken anyway is measured only until it is wider than a line.
    fn chunk(&self, text: &str) -> usize {
        let space = text.len() - text.trim_start_matches(is_blank).len();
        if space > 0 {
            return space;
        }
        let max = match self.long_words {
            true => self.width.saturating_add(4),
            false => usize::MAX,
        };
        for (count, (at, c)) in text.char_indices().enumerate() {
            if count == max || is_blank(c) {
                return at;
            }
            if self.hyphens && c == '-' && joins_words(&text[..at], &text[at + 1..]) {
                return at + 1;
            }
        }
        text.len()
    }
}

/// Whether a hyphen joins two words: it follows two letters and precedes two, which may have a hyphen between them.
fn joins_words(before: &str, after: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    let mut before = before.chars().rev();
    let mut after = after.chars();
    letter(before.next()) && letter(before.next()) && letter(after.next()) && {
        let next = after.next();
        letter(next) || next == Some('-') && letter(after.next())
    }
}

/// Byte offset of the character at an index.
fn nth(text: &str, number: usize) -> usize {
    text.char_indices()
        .nth(number)
        .map_or(text.len(), |(at, _)| at)
}

fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ')
}
