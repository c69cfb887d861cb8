//! Expressions and operators.

use super::super::arguments::Args;
use super::super::arithmetic;
use super::super::ast::{Arguments, Comparison, Expr, Filter, Postfix};
use super::super::display;
use super::super::fault::Result;
use super::super::meter::Text;
use super::super::objects::Scope;
use super::super::value::{Dict, Kind, List, Value};
use super::Interpreter;
use std::cmp::Ordering;
use std::rc::Rc;

impl<'t> Interpreter<'t> {
    pub(super) fn eval(&mut self, expr: &'t Expr, scope: &Rc<Scope<'t>>) -> Result<Value> {
        let _level = self.meter.descend()?;
        self.meter.steps(1)?;
        Ok(match expr {
            Expr::None => Value::None,
            Expr::Bool(truth) => Value::Bool(*truth),
            Expr::Int(number) => Value::Int(*number),
            Expr::Float(number) => Value::Float(*number),
            Expr::Str(text) => Value::str(&self.meter, text)?,
            Expr::Name(name) => self.variable(name, scope)?,
            Expr::List(items) => self.row(items, scope)?.finish(Kind::List)?,
            Expr::Tuple(items) => self.row(items, scope)?.finish(Kind::Tuple)?,
            Expr::Dict(entries) => {
                let mut dict = Dict::new(&self.meter)?;
                for (key, value) in entries {
                    let key = self.eval(key, scope)?;
                    dict.insert(key, self.eval(value, scope)?)?;
                }
                dict.finish()?
            }
            Expr::Not(value) => Value::Bool(!self.eval(value, scope)?.is_true()),
            Expr::Negative(value) => arithmetic::negative(&self.eval(value, scope)?)?,
            Expr::Positive(value) => arithmetic::positive(&self.eval(value, scope)?)?,
            Expr::Arithmetic(first, rest) => {
                let mut value = self.eval(first, scope)?;
                for (operator, operand) in rest {
                    let operand = self.eval(operand, scope)?;
                    value = self.arithmetic(*operator, &value, &operand)?;
                }
                value
            }
            Expr::Concat(operands) => {
                let mut text = Text::new(&self.meter)?;
                for operand in operands {
                    let value = self.eval(operand, scope)?;
                    display::write_str(&value, &mut text, &self.objects)?;
                }
                text.finish()
            }
            Expr::Compare(first, rest) => self.eval_comparisons(first, rest, scope)?,
            Expr::And(operands) => self.eval_words(operands, false, scope)?,
            Expr::Or(operands) => self.eval_words(operands, true, scope)?,
            Expr::Conditional(value, conditions) => {
                for (condition, otherwise) in conditions.iter().rev() {
                    if !self.eval(condition, scope)?.is_true() {
                        return match otherwise {
                            Some(otherwise) => self.eval(otherwise, scope),
                            None => Value::undefined(&self.meter, "an if without an else"),
                        };
                    }
                }
                self.eval(value, scope)?
            }
            Expr::Postfix(first, rest) => {
                let mut value = self.eval(first, scope)?;
                for postfix in rest {
                    self.meter.steps(1)?;
                    value = self.postfix(value, postfix, scope)?;
                }
                value
            }
        })
    }

    fn row(&mut self, items: &'t [Expr], scope: &Rc<Scope<'t>>) -> Result<List> {
        let mut list = List::new(&self.meter)?;
        for item in items {
            list.push(self.eval(item, scope)?)?;
        }
        Ok(list)
    }

    /// Evaluates `and` or `or`: the value is the first operand that decides, else the last one.
    fn eval_words(
        &mut self,
        operands: &'t [Expr],
        decides: bool,
        scope: &Rc<Scope<'t>>,
    ) -> Result<Value> {
        let mut value = Value::None;
        for operand in operands {
            value = self.eval(operand, scope)?;
            if value.is_true() == decides {
                break;
            }
        }
        Ok(value)
    }

    fn eval_comparisons(
        &mut self,
        first: &'t Expr,
        rest: &'t [(Comparison, Expr)],
        scope: &Rc<Scope<'t>>,
    ) -> Result<Value> {
        let mut left = self.eval(first, scope)?;
        for (comparison, operand) in rest {
            let right = self.eval(operand, scope)?;
            if !self.compare(*comparison, &left, &right)? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    /// Whether a comparison holds.
    pub fn compare(&mut self, comparison: Comparison, a: &Value, b: &Value) -> Result<bool> {
        let holds: fn(Ordering) -> bool = match comparison {
            Comparison::Equal => return a.equals(b, &self.meter),
            Comparison::NotEqual => return Ok(!a.equals(b, &self.meter)?),
            Comparison::In => return self.contains(b, a),
            Comparison::NotIn => return Ok(!self.contains(b, a)?),
            Comparison::Less => Ordering::is_lt,
            Comparison::LessOrEqual => Ordering::is_le,
            Comparison::Greater => Ordering::is_gt,
            Comparison::GreaterOrEqual => Ordering::is_ge,
        };
        Ok(a.compare(b, &self.meter)?.is_some_and(holds))
    }

    fn postfix(
        &mut self,
        value: Value,
        postfix: &'t Postfix,
        scope: &Rc<Scope<'t>>,
    ) -> Result<Value> {
        match postfix {
            Postfix::Attribute(name) => self.attribute(&value, name),
            Postfix::Item(key) => {
                let key = self.eval(key, scope)?;
                self.item(&value, &key)
            }
            Postfix::Slice(slice) => {
                let mut bound = |expr: &'t Option<Expr>| match expr {
                    Some(expr) => self.eval(expr, scope),
                    None => Ok(Value::None),
                };
                let (start, stop, step) = (
                    bound(&slice.start)?,
                    bound(&slice.stop)?,
                    bound(&slice.step)?,
                );
                self.slice(&value, &start, &stop, &step)
            }
            Postfix::Call(arguments) => {
                let args = self.args(arguments, scope)?;
                self.call(&value, args)
            }
            Postfix::Filter(filter) => self.apply_filter(filter, value, scope),
            Postfix::Test {
                name,
                negated,
                arguments,
            } => {
                let args = self.args(arguments, scope)?;
                Ok(Value::Bool(self.test(name, &value, args)? != *negated))
            }
        }
    }

    pub(super) fn apply_filter(
        &mut self,
        filter: &'t Filter,
        value: Value,
        scope: &Rc<Scope<'t>>,
    ) -> Result<Value> {
        let args = self.args(&filter.arguments, scope)?;
        self.filter(&filter.name, value, args)
    }

    /// The values of the arguments of a call.
    pub(super) fn args(&mut self, arguments: &'t Arguments, scope: &Rc<Scope<'t>>) -> Result<Args> {
        let mut args = Args::default();
        for argument in &arguments.positional {
            args.positional.push(self.eval(argument, scope)?);
        }
        if let Some(rest) = &arguments.rest {
            let rest = self.eval(rest, scope)?;
            let items = self.items(&rest)?;
            self.meter.steps(items.len())?;
            args.positional.extend(items.iter().cloned());
        }
        for (name, argument) in &arguments.named {
            args.named.push((name.clone(), self.eval(argument, scope)?));
        }
        if let Some(rest) = &arguments.named_rest {
            let rest = self.eval(rest, scope)?;
            self.add_named(&rest, &mut args)?;
        }
        Ok(args)
    }
}
