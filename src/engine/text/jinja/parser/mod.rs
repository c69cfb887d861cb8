//! Tokens to tree: statements here, expressions beside.

mod expression;

use super::ast::{Arguments, Body, Call, Expr, For, Kind, Macro, Postfix, Statement, Target};
use super::fault::{Fault, Result, fail};
use super::lexer::{self, Token};

/// How deep brackets and blocks may nest. Jinja in Python ends at about 80.
const MAX_NESTING: u32 = 200;

/// The tree of a source with normalised line ends, and whether it uses `loop` other than for an attribute or a call.
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
    /// Loops around this place that `break` can end.
    loops: u32,
    keeps_loops: bool,
    names: MacroNames,
}

/// Names with a meaning in macros that the macro being read uses.
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

    /// Moves over an operator if it stands here.
    fn skip(&mut self, operator: &str) -> bool {
        let is = self.is_operator(operator);
        self.at += usize::from(is);
        is
    }

    /// Moves over a word if it stands here.
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

    /// The token here, for a message.
    fn found(&self) -> String {
        match self.peek() {
            None => "the end of the template".into(),
            Some(Token::Data(_)) => "text".into(),
            Some(Token::PrintBegin) => "'{{'".into(),
            Some(Token::PrintEnd) => "'}}'".into(),
            Some(Token::BlockBegin) => "'{%'".into(),
            Some(Token::BlockEnd) => "'%}'".into(),
            Some(Token::Name(name)) => format!("'{name:.40}'"),
            Some(Token::Str(_)) => "a text".into(),
            Some(Token::Int(_) | Token::Float(_)) => "a number".into(),
            Some(Token::Operator(operator)) => format!("'{operator}'"),
        }
    }

    /// Reads what lies one level deeper.
    fn nest<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.nesting >= MAX_NESTING {
            return fail!("brackets or blocks nest too deeply");
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    /// Statements up to one of the tags that end them; its name is the next token then.
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

    /// The body of a block that only one tag ends.
    fn block_to(&mut self, end: &str) -> Result<Body> {
        Ok(self.block(&[end])?.0)
    }

    /// What stands between `{%` and `%}`; prints go to `body` themselves.
    fn statement(&mut self, body: &mut Body) -> Result<Option<Kind>> {
        let line = self.line();
        let name = self.expect_name()?;
        Ok(Some(match name {
            "for" => self.r#for()?,
            "if" => self.r#if()?,
            "set" => self.set()?,
            "macro" => {
                let name = self.expect_name()?;
                let parameters = self.parameters()?;
                Kind::Macro(self.r#macro(Some(name), parameters, "endmacro")?)
            }
            "call" => self.call()?,
            "filter" => Kind::Filtered {
                filters: self.filters(true)?,
                body: self.block_to("endfilter")?,
            },
            "with" => self.with()?,
            "generation" => Kind::Scope(self.outside_of_loops(|p| p.block_to("endgeneration"))?),
            "autoescape" => Kind::Autoescape {
                on: self.expression()?,
                body: self.block_to("endautoescape")?,
            },
            "block" => self.named_block()?,
            "print" => {
                let mut is_first = true;
                while self.peek() != Some(&Token::BlockEnd) {
                    if !std::mem::take(&mut is_first) {
                        self.expect(",")?;
                    }
                    let kind = Kind::Print(self.expression()?);
                    body.push(Statement { line, kind });
                }
                return Ok(None);
            }
            "break" | "continue" if self.loops == 0 => {
                return fail!("'{name}' outside of a loop");
            }
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "include" | "import" | "from" | "extends" => {
                while !matches!(self.peek(), Some(Token::BlockEnd) | None) {
                    self.at += 1;
                }
                Kind::OtherTemplate(match name {
                    "include" => "include",
                    "extends" => "extends",
                    _ => "import",
                })
            }
            _ => return fail!("unknown tag '{name:.40}'"),
        }))
    }

    fn r#for(&mut self) -> Result<Kind> {
        let target = self.targets(&["in"], false)?;
        if !self.skip_name("in") {
            return fail!("expected 'in', found {}", self.found());
        }
        let items = self.tuple(false, &["recursive"])?;
        let condition = match self.skip_name("if") {
            true => Some(self.expression()?),
            false => None,
        };
        let recursive = self.skip_name("recursive");
        self.loops += 1;
        let inside = self.block(&["endfor", "else"]);
        self.loops -= 1;
        let (body, end) = inside?;
        let otherwise = match end {
            "else" => self.block_to("endfor")?,
            _ => Vec::new(),
        };
        Ok(Kind::For(Box::new(For {
            target,
            items,
            condition,
            recursive,
            body,
            otherwise,
        })))
    }

    fn r#if(&mut self) -> Result<Kind> {
        let mut branches = Vec::new();
        loop {
            let condition = self.tuple(false, &[])?;
            let (body, end) = self.block(&["elif", "else", "endif"])?;
            branches.push((condition, body));
            if end != "elif" {
                let otherwise = match end {
                    "else" => self.block_to("endif")?,
                    _ => Vec::new(),
                };
                return Ok(Kind::If {
                    branches,
                    otherwise,
                });
            }
        }
    }

    fn set(&mut self) -> Result<Kind> {
        let target = self.targets(&[], true)?;
        if self.skip("=") {
            let value = self.tuple(true, &[])?;
            return Ok(Kind::Set { target, value });
        }
        Ok(Kind::Capture {
            target,
            filters: self.filters(false)?,
            body: self.block_to("endset")?,
        })
    }

    fn with(&mut self) -> Result<Kind> {
        let mut bindings = Vec::new();
        while self.peek() != Some(&Token::BlockEnd) {
            if !bindings.is_empty() {
                self.expect(",")?;
            }
            let target = self.targets(&[], false)?;
            self.expect("=")?;
            bindings.push((target, self.expression()?));
        }
        Ok(Kind::With {
            bindings,
            body: self.block_to("endwith")?,
        })
    }

    fn named_block(&mut self) -> Result<Kind> {
        let name = self.expect_name()?;
        let scoped = self.skip_name("scoped");
        self.skip_name("required");
        let body = self.outside_of_loops(|p| p.block_to("endblock"))?;
        self.skip_name(name);
        Ok(Kind::Block { body, scoped })
    }

    /// The body of a macro or of a call block.
    fn r#macro(
        &mut self,
        name: Option<&str>,
        parameters: Vec<(Box<str>, Option<Expr>)>,
        end: &str,
    ) -> Result<Macro> {
        let around = std::mem::take(&mut self.names);
        let body = self.outside_of_loops(|p| p.block_to(end))?;
        let used = self.names;
        self.names = MacroNames {
            varargs: used.varargs || around.varargs,
            kwargs: used.kwargs || around.kwargs,
            caller: used.caller || around.caller,
        };
        let is_parameter = |name: &str| parameters.iter().any(|(other, _)| &**other == name);
        Ok(Macro {
            name: name.map(Into::into),
            uses_varargs: used.varargs && !is_parameter("varargs"),
            uses_kwargs: used.kwargs && !is_parameter("kwargs"),
            uses_caller: used.caller && !is_parameter("caller"),
            parameters,
            body,
        })
    }

    fn parameters(&mut self) -> Result<Vec<(Box<str>, Option<Expr>)>> {
        self.expect("(")?;
        let mut parameters: Vec<(Box<str>, Option<Expr>)> = Vec::new();
        while !self.skip(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
            }
            let name = self.expect_name()?;
            let default = match self.skip("=") {
                true => Some(self.expression()?),
                false => None,
            };
            if default.is_none() && matches!(parameters.last(), Some((_, Some(_)))) {
                return fail!("a parameter without a default follows one with a default");
            }
            parameters.push((name.into(), default));
        }
        Ok(parameters)
    }

    fn call(&mut self) -> Result<Kind> {
        let parameters = match self.is_operator("(") {
            true => self.parameters()?,
            false => Vec::new(),
        };
        let (callee, arguments) = match self.expression()? {
            Expr::Postfix(first, mut rest) => match rest.pop() {
                Some(Postfix::Call(arguments)) if rest.is_empty() => (*first, arguments),
                Some(Postfix::Call(arguments)) => (Expr::Postfix(first, rest), arguments),
                _ => return fail!("expected a call"),
            },
            _ => return fail!("expected a call"),
        };
        let caller = self.r#macro(None, parameters, "endcall")?;
        Ok(Kind::Call(Box::new(Call {
            callee,
            arguments,
            caller,
        })))
    }

    /// Reads what `break` and `continue` cannot leave.
    fn outside_of_loops<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let around = std::mem::take(&mut self.loops);
        let result = read(self);
        self.loops = around;
        result
    }

    /// One target of an assignment, or several with commas between them.
    fn targets(&mut self, ends: &[&str], attributes: bool) -> Result<Target> {
        let mut targets = Vec::new();
        let mut is_tuple = false;
        while !self.ends_tuple(ends) && !self.is_operator("=") {
            targets.push(self.nest(|p| p.target(attributes))?);
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        match targets.pop() {
            Some(target) if !is_tuple => Ok(target),
            Some(target) => {
                targets.push(target);
                Ok(Target::Tuple(targets))
            }
            None => fail!("expected a name, found {}", self.found()),
        }
    }

    fn target(&mut self, attributes: bool) -> Result<Target> {
        if self.skip("(") {
            let target = self.targets(&[], attributes)?;
            self.expect(")")?;
            return Ok(target);
        }
        let name = self.expect_name()?;
        if matches!(name, "true" | "True" | "false" | "False" | "none" | "None") {
            return fail!("'{name}' cannot be assigned to");
        }
        if attributes && self.skip(".") {
            return Ok(Target::Attribute(name.into(), self.expect_name()?.into()));
        }
        Ok(Target::Name(name.into()))
    }

    /// Arguments in brackets, if there are any.
    fn optional_arguments(&mut self) -> Result<Arguments> {
        match self.is_operator("(") {
            true => self.arguments(),
            false => Ok(Arguments::default()),
        }
    }
}

impl Fault {
    /// For a construct that is sound in Jinja and has no meaning here.
    pub(super) fn no_templates(tag: &str) -> Self {
        Self::new(format!("'{tag}' needs another template, and there is none"))
    }
}
