//! Parses statements, which are in block tags.

use super::super::ast::{
    Arguments, Body, Call, Expr, For, Kind, Macro, Postfix, Statement, Target,
};
use super::super::fault::{Result, fail};
use super::super::lexer::Token;
use super::{MacroNames, Parser};

impl Parser<'_> {
    /// A statement between `{%` and `%}`, appended to `body`.
    pub(super) fn statement(&mut self, body: &mut Body) -> Result<Option<Kind>> {
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

    /// Parses something that `break` and `continue` cannot leave.
    fn outside_of_loops<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let around = std::mem::take(&mut self.loops);
        let result = read(self);
        self.loops = around;
        result
    }

    /// One target of an assignment, or several separated by commas.
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

    /// Arguments in parentheses, if there are any.
    pub(super) fn optional_arguments(&mut self) -> Result<Arguments> {
        match self.is_operator("(") {
            true => self.arguments(),
            false => Ok(Arguments::default()),
        }
    }
}
