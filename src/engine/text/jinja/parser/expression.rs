//! Parses expressions, with Jinja's operator precedence.

use super::super::ast::{Comparison, Expr, Operator};
use super::super::fault::{Result, fail};
use super::super::lexer::Token;
use super::Parser;
use super::postfix::postfix;

/// Binary operators in ascending precedence; `~` is between sums and products.
const SUMS: &[(&str, Operator)] = &[("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCTS: &[(&str, Operator)] = &[
    ("*", Operator::Multiply),
    ("/", Operator::Divide),
    ("//", Operator::FloorDivide),
    ("%", Operator::Remainder),
];
const POWERS: &[(&str, Operator)] = &[("**", Operator::Power)];

const COMPARISONS: &[(&str, Comparison)] = &[
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    (">", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
];

type Read<'s> = fn(&mut Parser<'s>) -> Result<Expr>;

impl<'s> Parser<'s> {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.nest(Self::conditional)
    }

    /// One expression, or several separated by commas. In the conditions of `for` and `if` tags, `if … else` is not allowed.
    pub(super) fn tuple(&mut self, conditional: bool, ends: &[&str]) -> Result<Expr> {
        let (mut items, is_tuple) = self.tuple_items(conditional, ends)?;
        match items.pop() {
            Some(item) if !is_tuple => Ok(item),
            Some(item) => {
                items.push(item);
                Ok(Expr::Tuple(items))
            }
            None => fail!("expected an expression, found {}", self.found()),
        }
    }

    fn tuple_items(&mut self, conditional: bool, ends: &[&str]) -> Result<(Vec<Expr>, bool)> {
        let mut items = Vec::new();
        let mut is_tuple = false;
        while !self.ends_tuple(ends) {
            items.push(match conditional {
                true => self.expression()?,
                false => self.nest(Self::or)?,
            });
            if !self.skip(",") {
                break;
            }
            is_tuple = true;
        }
        Ok((items, is_tuple))
    }

    pub(super) fn ends_tuple(&self, ends: &[&str]) -> bool {
        matches!(
            self.peek(),
            None | Some(Token::PrintEnd | Token::BlockEnd | Token::Operator(")"))
        ) || ends.iter().any(|end| self.is_name(end))
    }

    fn conditional(&mut self) -> Result<Expr> {
        let value = self.or()?;
        let mut conditions = Vec::new();
        while self.skip_name("if") {
            let condition = self.or()?;
            let otherwise = match self.skip_name("else") {
                true => Some(self.expression()?),
                false => None,
            };
            conditions.push((condition, otherwise));
        }
        Ok(match conditions.is_empty() {
            true => value,
            false => Expr::Conditional(Box::new(value), conditions),
        })
    }

    fn or(&mut self) -> Result<Expr> {
        self.words("or", Self::and, Expr::Or)
    }

    fn and(&mut self) -> Result<Expr> {
        self.words("and", Self::not, Expr::And)
    }

    /// Operands separated by a keyword.
    fn words(
        &mut self,
        word: &str,
        operand: Read<'s>,
        make: fn(Vec<Expr>) -> Expr,
    ) -> Result<Expr> {
        let first = operand(self)?;
        if !self.is_name(word) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.skip_name(word) {
            operands.push(operand(self)?);
        }
        Ok(make(operands))
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_name("not") {
            return Ok(Expr::Not(Box::new(self.nest(Self::not)?)));
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(comparison) = self.comparison() {
            rest.push((comparison, self.sum()?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Compare(Box::new(first), rest),
        })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let (comparison, length) = match self.peek()? {
            Token::Operator(operator) => {
                let (_, comparison) = COMPARISONS.iter().find(|(o, _)| o == operator)?;
                (*comparison, 1)
            }
            Token::Name("in") => (Comparison::In, 1),
            Token::Name("not") => match self.tokens.get(self.at + 1) {
                Some((Token::Name("in"), _)) => (Comparison::NotIn, 2),
                _ => return None,
            },
            _ => return None,
        };
        self.at += length;
        Some(comparison)
    }

    fn sum(&mut self) -> Result<Expr> {
        self.arithmetic(SUMS, Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.skip("~") {
            operands.push(self.product()?);
        }
        Ok(Expr::Concat(operands))
    }

    fn product(&mut self) -> Result<Expr> {
        self.arithmetic(PRODUCTS, Self::power)
    }

    fn power(&mut self) -> Result<Expr> {
        self.arithmetic(POWERS, |p| p.unary(true))
    }

    /// Operands separated by operators of the same precedence.
    fn arithmetic(&mut self, operators: &[(&str, Operator)], operand: Read<'s>) -> Result<Expr> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((_, operator)) = operators.iter().find(|(name, _)| self.is_operator(name)) {
            self.at += 1;
            rest.push((*operator, operand(self)?));
        }
        Ok(match rest.is_empty() {
            true => first,
            false => Expr::Arithmetic(Box::new(first), rest),
        })
    }

    /// A sign binds more tightly than a filter, and less than an attribute.
    fn unary(&mut self, filters: bool) -> Result<Expr> {
        let first = if self.skip("-") {
            Expr::Negative(Box::new(self.nest(|p| p.unary(false))?))
        } else if self.skip("+") {
            Expr::Positive(Box::new(self.nest(|p| p.unary(false))?))
        } else {
            self.primary()?
        };
        let mut rest = Vec::new();
        self.subscripts(&mut rest)?;
        if filters {
            self.filters_and_tests(&mut rest)?;
        }
        Ok(postfix(first, rest))
    }

    pub(super) fn primary(&mut self) -> Result<Expr> {
        let Some((token, _)) = self.tokens.get_mut(self.at) else {
            return fail!("expected an expression, found the end of the template");
        };
        let expression = match token {
            Token::Name(name) => match *name {
                "true" | "True" => Expr::Bool(true),
                "false" | "False" => Expr::Bool(false),
                "none" | "None" => Expr::None,
                name => {
                    self.at += 1;
                    return Ok(self.name(name));
                }
            },
            Token::Int(number) => Expr::Int(*number),
            Token::Float(number) => Expr::Float(*number),
            Token::Str(text) => {
                let mut text = std::mem::take(text);
                self.at += 1;
                // Adjacent strings are concatenated.
                while let Some(Token::Str(more)) = self.peek() {
                    text.push_str(more);
                    self.at += 1;
                }
                return Ok(Expr::Str(text.into()));
            }
            Token::Operator("(") => {
                self.at += 1;
                let (mut items, is_tuple) = self.tuple_items(true, &[])?;
                self.expect(")")?;
                return Ok(match items.pop() {
                    Some(item) if !is_tuple => item,
                    item => {
                        items.extend(item);
                        Expr::Tuple(items)
                    }
                });
            }
            Token::Operator("[") => {
                self.at += 1;
                return Ok(Expr::List(self.separated("]", Self::expression)?));
            }
            Token::Operator("{") => {
                self.at += 1;
                return Ok(Expr::Dict(self.separated("}", |p| {
                    let key = p.expression()?;
                    p.expect(":")?;
                    Ok((key, p.expression()?))
                })?));
            }
            _ => return fail!("expected an expression, found {}", self.found()),
        };
        self.at += 1;
        Ok(expression)
    }

    fn name(&mut self, name: &str) -> Expr {
        match name {
            "varargs" => self.names.varargs = true,
            "kwargs" => self.names.kwargs = true,
            "caller" => self.names.caller = true,
            "loop" => {
                self.keeps_loops |= ![".", "(", "["].iter().any(|o| self.is_operator(o));
            }
            _ => {}
        }
        Expr::Name(name.into())
    }

    /// Items up to a closing bracket, with an optional trailing comma.
    fn separated<T>(&mut self, end: &str, item: fn(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = Vec::new();
        while !self.skip(end) {
            if !items.is_empty() {
                self.expect(",")?;
                if self.skip(end) {
                    break;
                }
            }
            items.push(item(self)?);
        }
        Ok(items)
    }
}
