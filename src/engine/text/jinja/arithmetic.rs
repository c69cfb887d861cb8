//! Arithmetic as in Python, but with 64-bit integers; overflow is an error.

use super::ast::Operator;
use super::fault::{Fault, Result, fail};
use super::format::percent;
use super::interpreter::Interpreter;
use super::meter::Text;
use super::value::{Kind, List, Seq, Value};

/// `-value`
pub fn negative(value: &Value) -> Result<Value> {
    match (value.unless_undefined()?, value.as_int()) {
        (_, Some(number)) => number.checked_neg().map(Value::Int).ok_or_else(too_large),
        (Value::Float(number), _) => Ok(Value::Float(-number)),
        _ => fail!("{} cannot be negated", value.type_name()),
    }
}

/// `+value`
pub fn positive(value: &Value) -> Result<Value> {
    match (value.unless_undefined()?, value.as_int()) {
        (_, Some(number)) => Ok(Value::Int(number)),
        (Value::Float(number), _) => Ok(Value::Float(*number)),
        _ => fail!("{} is not a number", value.type_name()),
    }
}

impl Interpreter<'_> {
    /// `a operator b`
    pub fn arithmetic(&mut self, operator: Operator, a: &Value, b: &Value) -> Result<Value> {
        if let (Operator::Remainder, Value::Str(format)) = (operator, a) {
            return percent::format(self, format, b);
        }
        match (operator, a.unless_undefined()?, b.unless_undefined()?) {
            (Operator::Add, Value::Str(a), Value::Str(b)) => {
                let mut text = Text::new(&self.meter)?;
                text.push(a)?;
                text.push(b)?;
                Ok(text.finish())
            }
            (Operator::Add, Value::Seq(a), Value::Seq(b)) if both_lists_or_tuples(a, b) => {
                let mut list = List::new(&self.meter)?;
                list.extend(a)?;
                list.extend(b)?;
                list.finish(if a.is_tuple() {
                    Kind::Tuple
                } else {
                    Kind::List
                })
            }
            (Operator::Multiply, value, times) if times.as_int().is_some() && !is_number(value) => {
                self.repeat(value, times)
            }
            (Operator::Multiply, times, value) if times.as_int().is_some() && !is_number(value) => {
                self.repeat(value, times)
            }
            (operator, a, b) => numbers(operator, a, b),
        }
    }

    fn repeat(&self, value: &Value, times: &Value) -> Result<Value> {
        let times = usize::try_from(times.as_int().unwrap_or(0)).unwrap_or(0);
        match value {
            Value::Str(unit) => {
                let mut text = Text::new(&self.meter)?;
                text.repeat(unit, times)?;
                Ok(text.finish())
            }
            Value::Seq(unit) if both_lists_or_tuples(unit, unit) => {
                let mut list = List::new(&self.meter)?;
                if !unit.is_empty() {
                    for _ in 0..times {
                        list.extend(unit)?;
                    }
                }
                list.finish(if unit.is_tuple() {
                    Kind::Tuple
                } else {
                    Kind::List
                })
            }
            _ => fail!("{} cannot be repeated", value.type_name()),
        }
    }
}

fn both_lists_or_tuples(a: &Seq, b: &Seq) -> bool {
    a.is_tuple() && b.is_tuple() || a.kind == Kind::List && b.kind == Kind::List
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_))
}

fn numbers(operator: Operator, a: &Value, b: &Value) -> Result<Value> {
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return integers(operator, a, b);
    }
    match (a.as_float(), b.as_float()) {
        (Some(a), Some(b)) => floats(operator, a, b).map(Value::Float),
        _ => fail!(
            "{} and {} cannot be combined by this operator",
            a.type_name(),
            b.type_name()
        ),
    }
}

fn integers(operator: Operator, a: i64, b: i64) -> Result<Value> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if b != 0 => return Ok(Value::Float(a as f64 / b as f64)),
        Operator::FloorDivide if b != 0 => floor_divide(a, b),
        Operator::Remainder if b != 0 => floor_divide(a, b)
            .and_then(|quotient| quotient.checked_mul(b))
            .map(|whole| a.wrapping_sub(whole))
            .or(Some(0)),
        Operator::Power if b < 0 => return floats(operator, a as f64, b as f64).map(Value::Float),
        Operator::Power => match a {
            0 | 1 => Some(if b == 0 { 1 } else { a }),
            -1 => Some(if b % 2 == 0 { 1 } else { -1 }),
            _ => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        },
        Operator::Divide | Operator::FloorDivide | Operator::Remainder => {
            return Err(division_by_zero());
        }
    };
    result.map(Value::Int).ok_or_else(too_large)
}

/// Division rounded towards minus infinity.
fn floor_divide(a: i64, b: i64) -> Option<i64> {
    let quotient = a.checked_div(b)?;
    let below = a % b != 0 && (a < 0) != (b < 0);
    Some(quotient - i64::from(below))
}

fn floats(operator: Operator, a: f64, b: f64) -> Result<f64> {
    let divides = matches!(
        operator,
        Operator::Divide | Operator::FloorDivide | Operator::Remainder
    );
    if b == 0.0 && divides || operator == Operator::Power && a == 0.0 && b < 0.0 {
        return Err(division_by_zero());
    }
    Ok(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::FloorDivide => {
            let quotient = (a - floored_remainder(a, b)) / b;
            let floor = quotient.floor();
            match quotient {
                0.0 => 0.0f64.copysign(a / b),
                // Rounding may put the quotient just below the exact integer.
                _ if quotient - floor > 0.5 => floor + 1.0,
                _ => floor,
            }
        }
        Operator::Remainder => floored_remainder(a, b),
        Operator::Power => {
            if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
                return fail!("a root of a negative number is not a number");
            }
            let power = a.powf(b);
            if power.is_infinite() && a.is_finite() && b.is_finite() {
                return Err(too_large());
            }
            power
        }
    })
}

/// The remainder with the sign of the divisor.
fn floored_remainder(a: f64, b: f64) -> f64 {
    let remainder = a % b;
    if remainder == 0.0 {
        0.0f64.copysign(b)
    } else if (remainder < 0.0) != (b < 0.0) {
        remainder + b
    } else {
        remainder
    }
}

fn too_large() -> Fault {
    Fault::new("a number becomes too large")
}

fn division_by_zero() -> Fault {
    Fault::new("division by zero")
}
