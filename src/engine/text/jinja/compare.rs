//! Equality, order and membership as in Python.

use super::fault::{Result, fail};
use super::meter::Meter;
use super::value::{Kind, Value};
use std::cmp::Ordering;

impl Value {
    /// Whether the value is true as a condition.
    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Seq(seq) => !seq.is_empty(),
            Self::Dict(dict) => !dict.entries().is_empty(),
            Self::Object(_) | Self::Function(_) | Self::Method(_) => true,
        }
    }

    /// `==`
    pub fn equals(&self, other: &Self, meter: &Meter) -> Result<bool> {
        meter.steps(1)?;
        Ok(match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Str(a), Self::Str(b)) => {
                if a.len() == b.len() {
                    meter.work(a.len())?;
                }
                ***a == ***b
            }
            (Self::Seq(a), Self::Seq(b)) => {
                if !same_kind(a.kind, b.kind) || a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(b, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Dict(a), Self::Dict(b)) => {
                if a.entries().len() != b.entries().len() {
                    return Ok(false);
                }
                for (key, value) in a.entries() {
                    match b.get(key)? {
                        Some(other) if value.equals(other, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Function(a), Self::Function(b)) => a == b,
            _ => compare_numbers(self, other) == Some(Some(Ordering::Equal)),
        })
    }

    /// The order of two values; `None` if one is NaN. Fails for values that Python does not order.
    pub fn compare(&self, other: &Self, meter: &Meter) -> Result<Option<Ordering>> {
        meter.steps(1)?;
        match (self.unless_undefined()?, other.unless_undefined()?) {
            (Self::Str(a), Self::Str(b)) => {
                meter.work(a.len().min(b.len()))?;
                Ok(Some((***a).cmp(&***b)))
            }
            (Self::Seq(a), Self::Seq(b))
                if a.kind == Kind::List && b.kind == Kind::List || a.is_tuple() && b.is_tuple() =>
            {
                for (a, b) in a.iter().zip(b.iter()) {
                    if !a.equals(b, meter)? {
                        return a.compare(b, meter);
                    }
                }
                Ok(Some(a.len().cmp(&b.len())))
            }
            _ => match compare_numbers(self, other) {
                Some(order) => Ok(order),
                None => fail!(
                    "{} and {} cannot be ordered",
                    self.type_name(),
                    other.type_name()
                ),
            },
        }
    }
}

fn same_kind(a: Kind, b: Kind) -> bool {
    let tuple = |kind| matches!(kind, Kind::Tuple | Kind::Group);
    match (a, b) {
        (Kind::Range { .. }, Kind::Range { .. }) => true,
        _ => a == b || tuple(a) && tuple(b),
    }
}

/// The order of two numbers; `None` if either is not a number.
fn compare_numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    match (a.as_int(), b.as_int()) {
        (Some(a), Some(b)) => Some(Some(a.cmp(&b))),
        _ => Some(a.as_float()?.partial_cmp(&b.as_float()?)),
    }
}

/// Sorts stably by a key of each value. The standard library's sorts may panic if the order is not total, and Python's
/// need not be.
pub fn sort<T: Clone>(
    mut rows: Vec<(Value, T)>,
    reverse: bool,
    meter: &Meter,
) -> Result<Vec<(Value, T)>> {
    let mut width = 1;
    while width < rows.len() {
        let mut merged = Vec::with_capacity(rows.len());
        for pair in rows.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let ([a, ..], [b, ..]) = (left, right) {
                let order = if reverse {
                    a.0.compare(&b.0, meter)?
                } else {
                    b.0.compare(&a.0, meter)?
                };
                let side = if order == Some(Ordering::Less) {
                    &mut right
                } else {
                    &mut left
                };
                merged.extend(side.split_off_first().cloned());
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        rows = merged;
        width *= 2;
    }
    Ok(rows)
}
