//! Parses postfix operators: attributes, subscripts, calls, filters and tests.

use super::super::ast::{Arguments, Expr, Filter, Postfix, Slice};
use super::super::fault::{Result, fail};
use super::super::lexer::Token;
use super::Parser;

/// An expression with its postfix operators.
pub(super) fn postfix(first: Expr, rest: Vec<Postfix>) -> Expr {
    match rest.is_empty() {
        true => first,
        false => Expr::Postfix(Box::new(first), rest),
    }
}

impl Parser<'_> {
    /// Attributes, subscripts and calls.
    pub(super) fn subscripts(&mut self, rest: &mut Vec<Postfix>) -> Result<()> {
        loop {
            if self.skip(".") {
                rest.push(match self.peek() {
                    Some(Token::Name(name)) => Postfix::Attribute((*name).into()),
                    Some(Token::Int(number)) => Postfix::Item(Expr::Int(*number)),
                    _ => return fail!("expected a name or a number, found {}", self.found()),
                });
                self.at += 1;
            } else if self.skip("[") {
                rest.push(self.subscript()?);
            } else if self.is_operator("(") {
                rest.push(Postfix::Call(self.arguments()?));
            } else {
                return Ok(());
            }
        }
    }

    /// A subscript or slice.
    fn subscript(&mut self) -> Result<Postfix> {
        let start = match self.is_operator(":") {
            true => None,
            false => Some(self.expression()?),
        };
        if self.skip(":") {
            let mut slice = Slice {
                start,
                ..Slice::default()
            };
            if !self.is_operator(":") && !self.is_operator("]") {
                slice.stop = Some(self.expression()?);
            }
            if self.skip(":") && !self.is_operator("]") {
                slice.step = Some(self.expression()?);
            }
            self.expect("]")?;
            return Ok(Postfix::Slice(Box::new(slice)));
        }
        let mut keys: Vec<Expr> = start.into_iter().collect();
        while self.skip(",") {
            keys.push(self.expression()?);
        }
        self.expect("]")?;
        Ok(Postfix::Item(match keys.pop() {
            Some(key) if keys.is_empty() => key,
            key => {
                keys.extend(key);
                Expr::Tuple(keys)
            }
        }))
    }

    pub(super) fn filters_and_tests(&mut self, rest: &mut Vec<Postfix>) -> Result<()> {
        loop {
            if self.is_operator("|") {
                rest.extend(self.filters(false)?.into_iter().map(Postfix::Filter));
            } else if self.skip_name("is") {
                rest.push(self.test()?);
            } else if self.is_operator("(") {
                rest.push(Postfix::Call(self.arguments()?));
            } else {
                return Ok(());
            }
        }
    }

    /// A chain of filters; in a filter block the first one has no bar.
    pub(super) fn filters(&mut self, inline: bool) -> Result<Vec<Filter>> {
        let mut filters = Vec::new();
        while inline && filters.is_empty() || self.skip("|") {
            let name = self.dotted_name()?;
            let arguments = self.optional_arguments()?;
            filters.push(Filter {
                name: name.into(),
                arguments,
            });
        }
        Ok(filters)
    }

    fn dotted_name(&mut self) -> Result<String> {
        let mut name = self.expect_name()?.to_owned();
        while self.skip(".") {
            name.push('.');
            name.push_str(self.expect_name()?);
        }
        Ok(name)
    }

    fn test(&mut self) -> Result<Postfix> {
        let negated = self.skip_name("not");
        let name = self.dotted_name()?;
        let arguments = if self.is_operator("(") {
            self.arguments()?
        } else if self.begins_test_argument() {
            if self.is_name("is") {
                return fail!("tests with 'is' cannot be chained");
            }
            let first = self.nest(Self::primary)?;
            let mut rest = Vec::new();
            self.subscripts(&mut rest)?;
            Arguments {
                positional: vec![postfix(first, rest)],
                ..Arguments::default()
            }
        } else {
            Arguments::default()
        };
        Ok(Postfix::Test {
            name: name.into(),
            negated,
            arguments,
        })
    }

    fn begins_test_argument(&self) -> bool {
        match self.peek() {
            Some(Token::Name(name)) => !matches!(*name, "else" | "or" | "and"),
            Some(Token::Str(_) | Token::Int(_) | Token::Float(_)) => true,
            Some(Token::Operator(operator)) => matches!(*operator, "[" | "{"),
            _ => false,
        }
    }

    /// The arguments of a call, in parentheses.
    pub(super) fn arguments(&mut self) -> Result<Arguments> {
        self.expect("(")?;
        let mut arguments = Arguments::default();
        let mut is_first = true;
        while !self.skip(")") {
            if !is_first {
                self.expect(",")?;
                if self.skip(")") {
                    break;
                }
            }
            is_first = false;
            self.argument(&mut arguments)?;
        }
        Ok(arguments)
    }

    fn argument(&mut self, arguments: &mut Arguments) -> Result<()> {
        let named = match (self.peek(), self.tokens.get(self.at + 1)) {
            (Some(&Token::Name(name)), Some((Token::Operator("="), _))) => Some(name),
            _ => None,
        };
        let no_rest = arguments.rest.is_none() && arguments.named_rest.is_none();
        let in_order = if self.is_operator("**") || named.is_some() {
            arguments.named_rest.is_none()
        } else if self.is_operator("*") {
            no_rest
        } else {
            no_rest && arguments.named.is_empty()
        };
        if !in_order {
            return fail!("the arguments of a call are in the wrong order");
        }
        if self.skip("*") {
            arguments.rest = Some(Box::new(self.expression()?));
        } else if self.skip("**") {
            arguments.named_rest = Some(Box::new(self.expression()?));
        } else if let Some(name) = named {
            self.at += 2;
            arguments.named.push((name.into(), self.expression()?));
        } else {
            arguments.positional.push(self.expression()?);
        }
        Ok(())
    }
}
