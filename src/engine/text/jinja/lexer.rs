//! Splits the source into tokens: the text between tags, with white space trimmed by Jinja's rules, and the contents of
//! tags.

use super::fault::{Fault, Result};
use super::literal::{self, Number};
use super::unicode::{is_space, is_word};

/// A token.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'s> {
    Data(&'s str),
    PrintBegin,
    PrintEnd,
    BlockBegin,
    BlockEnd,
    Name(&'s str),
    Str(String),
    Int(i64),
    Float(f64),
    Operator(&'static str),
}

const OPERATORS: [&str; 25] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",",
];

/// Normalises line ends as Jinja does: to newlines, with none at the end of the source.
pub fn normalise(source: &str) -> String {
    let mut source = source.replace("\r\n", "\n").replace('\r', "\n");
    if source.ends_with('\n') {
        source.pop();
    }
    source
}

/// The tokens of a normalised source, each with its line.
pub fn lex(source: &str) -> Result<Vec<(Token<'_>, u32)>> {
    let mut lexer = Lexer {
        source,
        at: 0,
        line: 1,
        at_line_start: true,
        tokens: Vec::new(),
    };
    let lexed = lexer.run();
    lexed.map_err(|fault| fault.at(lexer.line))?;
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
    line: u32,
    /// Whether the last tag was at the end of a line.
    at_line_start: bool,
    tokens: Vec<(Token<'s>, u32)>,
}

impl<'s> Lexer<'s> {
    fn run(&mut self) -> Result<()> {
        while let Some(start) = self.next_tag() {
            let kind = self.source.as_bytes()[start + 1];
            let sign = self.source[start + 2..]
                .chars()
                .next()
                .filter(|c| matches!(c, '-' | '+'));
            self.data(start, sign, kind != b'{');
            self.advance(start + 2 + sign.map_or(0, char::len_utf8));
            match kind {
                b'#' => self.comment()?,
                b'%' if self.raw_begin() => self.raw()?,
                b'%' => self.tag(Token::BlockBegin)?,
                _ => self.tag(Token::PrintBegin)?,
            }
        }
        self.data(self.source.len(), None, false);
        Ok(())
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    /// Advances and counts lines.
    fn advance(&mut self, to: usize) {
        let passed = &self.source[self.at..to];
        self.line += passed.bytes().filter(|&b| b == b'\n').count() as u32;
        self.at_line_start = passed.ends_with('\n');
        self.at = to;
    }

    fn push(&mut self, token: Token<'s>) {
        self.tokens.push((token, self.line));
    }

    /// Position of the next tag.
    fn next_tag(&self) -> Option<usize> {
        let rest = self.rest().as_bytes();
        let opens = |pair: &[u8]| pair[0] == b'{' && matches!(pair[1], b'{' | b'%' | b'#');
        rest.windows(2).position(opens).map(|at| self.at + at)
    }

    /// Reads the text up to a tag. The tag's sign or kind determines whether the white space before it is removed.
    fn data(&mut self, end: usize, sign: Option<char>, is_block: bool) {
        let text = &self.source[self.at..end];
        let line_start = text.rfind('\n').map_or(0, |at| at + 1);
        let kept = match sign {
            Some('-') => text.trim_end_matches(is_space),
            None if is_block
                && (line_start > 0 || self.at_line_start)
                && text[line_start..].chars().all(is_space) =>
            {
                &text[..line_start]
            }
            _ => text,
        };
        if !kept.is_empty() {
            self.push(Token::Data(kept));
        }
        self.advance(end);
    }

    fn comment(&mut self) -> Result<()> {
        let begin = self.at;
        let Some(end) = self.rest().find("#}").map(|at| begin + at) else {
            return Err(Fault::new("unterminated comment"));
        };
        let signed = end > begin && matches!(self.source.as_bytes()[end - 1], b'-' | b'+');
        self.advance(end - usize::from(signed));
        let length = block_end(self.rest(), "#}").unwrap_or(2);
        self.advance(self.at + length);
        Ok(())
    }

    /// Skips the rest of `{% raw %}` if it is next.
    fn raw_begin(&mut self) -> bool {
        let after = self
            .rest()
            .trim_start_matches(is_space)
            .strip_prefix("raw")
            .map(|after| after.trim_start_matches(is_space));
        let end = after.and_then(|after| match after.strip_prefix("-%}") {
            Some(after) => Some(after.trim_start_matches(is_space)),
            None => after.strip_prefix("%}"),
        });
        if let Some(left) = end {
            self.advance(self.source.len() - left.len());
        }
        end.is_some()
    }

    /// Reads everything up to `{% endraw %}` as text.
    fn raw(&mut self) -> Result<()> {
        let mut from = self.at;
        while let Some(start) = self.source[from..].find("{%").map(|at| from + at) {
            let inside = &self.source[start + 2..];
            let sign = inside.chars().next().filter(|c| matches!(c, '-' | '+'));
            let name = inside[sign.map_or(0, char::len_utf8)..].trim_start_matches(is_space);
            if let Some(after) = name.strip_prefix("endraw") {
                let after = after.trim_start_matches(is_space);
                if let Some(length) = block_end(after, "%}") {
                    self.data(start, sign, true);
                    self.advance(self.source.len() - after.len() + length);
                    return Ok(());
                }
            }
            from = start + 2;
        }
        Err(Fault::new("unterminated raw block"))
    }

    /// The tokens of a tag, up to its end outside all brackets.
    fn tag(&mut self, begin: Token<'s>) -> Result<()> {
        let is_block = begin == Token::BlockBegin;
        self.push(begin);
        let mut open = Vec::new();
        loop {
            let space = self.rest().len() - self.rest().trim_start_matches(is_space).len();
            self.advance(self.at + space);
            let end = match is_block {
                _ if !open.is_empty() => None,
                true => block_end(self.rest(), "%}"),
                false => print_end(self.rest()),
            };
            if let Some(length) = end {
                self.push(if is_block {
                    Token::BlockEnd
                } else {
                    Token::PrintEnd
                });
                self.advance(self.at + length);
                return Ok(());
            }
            if self.rest().is_empty() {
                return Ok(());
            }
            self.token(&mut open)?;
        }
    }

    /// Reads one token inside a tag; `open` is the stack of expected closing brackets.
    fn token(&mut self, open: &mut Vec<&'static str>) -> Result<()> {
        let rest = self.rest();
        let after_dot = self.source[..self.at].ends_with('.');
        if let Some((number, length)) = literal::number(rest, after_dot)? {
            self.push(match number {
                Number::Int(number) => Token::Int(number),
                Number::Float(number) => Token::Float(number),
            });
            self.advance(self.at + length);
            return Ok(());
        }
        let word = rest.len() - rest.trim_start_matches(is_word).len();
        if word > 0 {
            self.push(Token::Name(&rest[..word]));
            self.advance(self.at + word);
            return Ok(());
        }
        if let Some(length) = quoted_length(rest) {
            self.push(Token::Str(literal::unescape(&rest[1..length - 1])?));
            self.advance(self.at + length);
            return Ok(());
        }
        let Some(operator) = OPERATORS.into_iter().find(|o| rest.starts_with(o)) else {
            let c = rest.chars().next().unwrap_or_default();
            return Err(Fault::new(format!("unexpected character {c:?}")));
        };
        match operator {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            ")" | "]" | "}" if open.pop() != Some(operator) => {
                return Err(Fault::new(format!("unexpected '{operator}'")));
            }
            _ => {}
        }
        self.push(Token::Operator(operator));
        self.advance(self.at + operator.len());
        Ok(())
    }
}

/// Length of the end of a block, comment or raw section at the start of `rest`, including the white space it removes:
/// `-%}` removes all, `%}` one newline, `+%}` none.
fn block_end(rest: &str, mark: &str) -> Option<usize> {
    let sign = rest.bytes().next().filter(|b| matches!(b, b'-' | b'+'));
    let after = rest[usize::from(sign.is_some())..].strip_prefix(mark)?;
    let left = match sign {
        Some(b'-') => after.trim_start_matches(is_space),
        None => after.strip_prefix('\n').unwrap_or(after),
        _ => after,
    };
    Some(rest.len() - left.len())
}

/// Length of the end of a print tag at the start of `rest`; `-}}` includes all following white space.
fn print_end(rest: &str) -> Option<usize> {
    let left = match rest.strip_prefix("-}}") {
        Some(after) => after.trim_start_matches(is_space),
        None => rest.strip_prefix("}}")?,
    };
    Some(rest.len() - left.len())
}

/// Length of the string literal at the start; `None` if there is none or it is unterminated.
fn quoted_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mark = *bytes.first().filter(|b| matches!(b, b'\'' | b'"'))?;
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == mark => return Some(at + 1),
            _ => at += 1,
        }
    }
}
