//! Parses tokens into a tree: bodies here, statements and expressions in submodules.

mod expression;
mod postfix;
mod statement;

use super::ast::{Body, Kind, Statement};
use super::fault::{Fault, Result, fail};
use super::lexer::{self, Token};

/// Max nesting of brackets and blocks. Jinja in Python fails at about 80.
const MAX_NESTING: u32 = 200;

/// Parses a source with normalised line ends. Also returns whether it uses `loop` other than for an attribute or a call.
pub fn parse(source: &str) -> Result<(Body, bool)> {
    let mut parser = Parser {
        tokens: lexer::lex(source)?,
        at: 0,
        nesting: 0,
        loops: 0,
        keeps_loops: false,
        names: MacroNames::default(),
    };
    let body = parser.body(&[]).map_err(|fault| fault.at(parser.line()))?;
    Ok((body, parser.keeps_loops))
}

struct Parser<'s> {
    tokens: Vec<(Token<'s>, u32)>,
    at: usize,
    nesting: u32,
    /// Number of enclosing loops that `break` can end.
    loops: u32,
    keeps_loops: bool,
    names: MacroNames,
}

/// Special names that the current macro uses.
#[derive(Debug, Default, Clone, Copy)]
struct MacroNames {
    varargs: bool,
    kwargs: bool,
    caller: bool,
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> u32 {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(1, |(_, line)| *line)
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Some(Token::Operator(other)) if *other == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Name(other)) if *other == name)
    }

    /// Skips an operator if it is next.
    fn skip(&mut self, operator: &str) -> bool {
        let is = self.is_operator(operator);
        self.at += usize::from(is);
        is
    }

    /// Skips a name if it is next.
    fn skip_name(&mut self, name: &str) -> bool {
        let is = self.is_name(name);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, operator: &str) -> Result<()> {
        if self.skip(operator) {
            return Ok(());
        }
        fail!("expected '{operator}', found {}", self.found())
    }

    fn expect_token(&mut self, token: &Token<'s>, what: &str) -> Result<()> {
        if self.peek() == Some(token) {
            self.at += 1;
            return Ok(());
        }
        fail!("expected {what}, found {}", self.found())
    }

    fn expect_name(&mut self) -> Result<&'s str> {
        match self.peek() {
            Some(&Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => fail!("expected a name, found {}", self.found()),
        }
    }

    /// The next token, for a message.
    fn found(&self) -> String {
        match self.peek() {
            None => "the end of the template".into(),
            Some(Token::Data(_)) => "text".into(),
            Some(Token::PrintBegin) => "'{{'".into(),
            Some(Token::PrintEnd) => "'}}'".into(),
            Some(Token::BlockBegin) => "'{%'".into(),
            Some(Token::BlockEnd) => "'%}'".into(),
            Some(Token::Name(name)) => format!("'{name:.40}'"),
            Some(Token::Str(_)) => "a string".into(),
            Some(Token::Int(_) | Token::Float(_)) => "a number".into(),
            Some(Token::Operator(operator)) => format!("'{operator}'"),
        }
    }

    /// Parses something one level deeper.
    fn nest<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting >= MAX_NESTING {
            return fail!("brackets or blocks nest too deeply");
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    /// Statements up to one of the tags that end them. The tag's name is then the next token.
    fn body(&mut self, ends: &[&str]) -> Result<Body> {
        let mut body = Vec::new();
        while let Some(token) = self.peek() {
            let line = self.line();
            let kind = match token {
                Token::Data(text) => {
                    let kind = Kind::Data((*text).into());
                    self.at += 1;
                    kind
                }
                Token::PrintBegin => {
                    self.at += 1;
                    let value = self.nest(|p| p.tuple(true, &[]))?;
                    self.expect_token(&Token::PrintEnd, "'}}'")?;
                    Kind::Print(value)
                }
                _ => {
                    self.expect_token(&Token::BlockBegin, "a tag")?;
                    if ends.iter().any(|end| self.is_name(end)) {
                        return Ok(body);
                    }
                    let kind = self.nest(|p| p.statement(&mut body))?;
                    self.expect_token(&Token::BlockEnd, "'%}'")?;
                    match kind {
                        Some(kind) => kind,
                        None => continue,
                    }
                }
            };
            body.push(Statement { line, kind });
        }
        match ends {
            [] => Ok(body),
            _ => fail!("the template ends before '{}'", ends[ends.len() - 1]),
        }
    }

    /// The body of a block, and the tag that ended it.
    fn block(&mut self, ends: &[&str]) -> Result<(Body, &'s str)> {
        self.skip(":");
        self.expect_token(&Token::BlockEnd, "'%}'")?;
        let body = self.body(ends)?;
        Ok((body, self.expect_name()?))
    }

    /// The body of a block that ends only with this tag.
    fn block_to(&mut self, end: &str) -> Result<Body> {
        Ok(self.block(&[end])?.0)
    }
}

impl Fault {
    /// The error for a construct that needs other templates.
    pub(super) fn no_templates(tag: &str) -> Self {
        Self::new(format!("'{tag}' needs another template, and there is none"))
    }
}
