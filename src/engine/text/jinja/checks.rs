//! Tests, which follow `is`.

use super::arguments::{Args, required};
use super::ast::{Comparison, Operator};
use super::fault::{Result, fail};
use super::filters;
use super::interpreter::Interpreter;
use super::methods::case;
use super::objects::Object;
use super::value::{Kind, Value};
use std::rc::Rc;

/// Tests that compare with a second value.
const COMPARISONS: [(&str, Comparison); 16] = [
    ("==", Comparison::Equal),
    ("eq", Comparison::Equal),
    ("equalto", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("ne", Comparison::NotEqual),
    (">", Comparison::Greater),
    ("gt", Comparison::Greater),
    ("greaterthan", Comparison::Greater),
    (">=", Comparison::GreaterOrEqual),
    ("ge", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    ("lt", Comparison::Less),
    ("lessthan", Comparison::Less),
    ("<=", Comparison::LessOrEqual),
    ("le", Comparison::LessOrEqual),
    ("in", Comparison::In),
];

/// All other tests.
const TESTS: [&str; 23] = [
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "integer",
    "iterable",
    "lower",
    "mapping",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

impl Interpreter<'_> {
    /// `value is name(args)`
    pub fn test(&mut self, name: &str, value: &Value, args: Args) -> Result<bool> {
        if let Some((_, comparison)) = COMPARISONS.iter().find(|(other, _)| *other == name) {
            let [other] = args.bind(name, ["other"])?;
            return self.compare(*comparison, value, &required(other, "other")?);
        }
        match name {
            "divisibleby" => {
                let [divisor] = args.bind(name, ["num"])?;
                return self.is_remainder(value, &required(divisor, "num")?, 0);
            }
            "sameas" => {
                let [other] = args.bind(name, ["other"])?;
                return self.is_same(value, &required(other, "other")?);
            }
            _ => args.none(name)?,
        }
        Ok(match name {
            "boolean" => matches!(value, Value::Bool(_)),
            "callable" => match value {
                Value::Function(_) | Value::Method(_) | Value::Undefined(_) => true,
                Value::Object(id) => matches!(
                    self.objects.get(*id)?,
                    Object::Macro(_) | Object::Loop(_) | Object::Joiner { .. }
                ),
                _ => false,
            },
            "defined" => !value.is_undefined(),
            "undefined" => value.is_undefined(),
            "escaped" => false,
            "even" => self.is_remainder(value, &Value::Int(2), 0)?,
            "odd" => self.is_remainder(value, &Value::Int(2), 1)?,
            "false" => matches!(value, Value::Bool(false)),
            "true" => matches!(value, Value::Bool(true)),
            "filter" => value.as_str().is_some_and(filters::exists),
            "test" => value.as_str().is_some_and(|name| {
                TESTS.contains(&name) || COMPARISONS.iter().any(|(other, _)| *other == name)
            }),
            "float" => matches!(value, Value::Float(_)),
            "integer" => matches!(value, Value::Int(_)),
            "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
            "iterable" => match value {
                Value::Undefined(_) | Value::Str(_) | Value::Seq(_) | Value::Dict(_) => true,
                Value::Object(id) => {
                    matches!(
                        self.objects.get(*id)?,
                        Object::Generator(_) | Object::Loop(_)
                    )
                }
                _ => false,
            },
            "lower" | "upper" => {
                let text = self.text_of(value)?;
                self.meter.work(case::WORK * text.len())?;
                match name {
                    "lower" => case::is_lower(&text),
                    _ => case::is_upper(&text),
                }
            }
            "mapping" => matches!(value, Value::Dict(_)),
            "none" => value.is_none(),
            "sequence" => match value {
                Value::Undefined(_) | Value::Str(_) | Value::Dict(_) => true,
                Value::Seq(seq) => seq.has_positions(),
                _ => false,
            },
            "string" => matches!(value, Value::Str(_)),
            _ => return fail!("there is no test named {name:.40}"),
        })
    }

    fn is_remainder(&mut self, value: &Value, divisor: &Value, wanted: i64) -> Result<bool> {
        let rest = self.arithmetic(Operator::Remainder, value, divisor)?;
        rest.equals(&Value::Int(wanted), &self.meter)
    }

    /// Whether two values are identical. Strings and numbers are identical if they are equal and of the same type.
    fn is_same(&self, a: &Value, b: &Value) -> Result<bool> {
        Ok(match (a, b) {
            (Value::Seq(a), Value::Seq(b)) => {
                Rc::ptr_eq(a, b) || a.kind == Kind::Tuple && a.is_empty() && b.is_empty()
            }
            (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
            (Value::Undefined(a), Value::Undefined(b)) => Rc::ptr_eq(a, b),
            _ => a.type_name() == b.type_name() && a.equals(b, &self.meter)?,
        })
    }
}
