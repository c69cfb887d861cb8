//! The values of a template, modelled on Python's.

pub use super::containers::{Dict, Kind, List, Method, Seq, Str};

use super::fault::{Fault, Result};
use super::meter::{Charge, Meter, Text};
use super::objects::ObjectId;
use std::rc::Rc;

/// A value. Strings and containers are immutable.
#[derive(Debug, Clone)]
pub enum Value {
    /// The result of a failed lookup, with the name.
    Undefined(Rc<Str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<Str>),
    Seq(Rc<Seq>),
    Dict(Rc<Dict>),
    /// A namespace, macro, loop or generator.
    Object(ObjectId),
    Function(Function),
    Method(Rc<Method>),
}

/// A global function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    Range,
    Dict,
    Namespace,
    Cycler,
    Joiner,
    RaiseException,
    StrftimeNow,
}

impl Value {
    pub fn str(meter: &Rc<Meter>, text: &str) -> Result<Self> {
        let mut out = Text::new(meter)?;
        out.push(text)?;
        Ok(out.finish())
    }

    /// The result of a failed lookup of `name`.
    pub fn undefined(meter: &Rc<Meter>, name: &str) -> Result<Self> {
        let mut charge = Charge::new(meter)?;
        let shown: Box<str> = name.chars().take(100).collect();
        charge.grow(shown.len())?;
        Ok(Self::Undefined(Rc::new(Str::new(shown, charge))))
    }

    pub fn list(meter: &Rc<Meter>, values: impl IntoIterator<Item = Value>) -> Result<Self> {
        Self::sequence(meter, Kind::List, values)
    }

    pub fn tuple(meter: &Rc<Meter>, values: impl IntoIterator<Item = Value>) -> Result<Self> {
        Self::sequence(meter, Kind::Tuple, values)
    }

    fn sequence(
        meter: &Rc<Meter>,
        kind: Kind,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Self> {
        let mut list = List::new(meter)?;
        for value in values {
            list.push(value)?;
        }
        list.finish(kind)
    }

    pub fn method(meter: &Rc<Meter>, receiver: &Value, name: &'static str) -> Result<Self> {
        Ok(Self::Method(Rc::new(Method::new(meter, receiver, name)?)))
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The value as an integer, including booleans.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::Int(number) => Some(number),
            Self::Bool(truth) => Some(i64::from(truth)),
            _ => None,
        }
    }

    /// A number as a float.
    pub fn as_float(&self) -> Option<f64> {
        match *self {
            Self::Float(number) => Some(number),
            _ => self.as_int().map(|number| number as f64),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The name of the Python type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Seq(seq) => match seq.kind {
                Kind::List => "list",
                Kind::Tuple => "tuple",
                Kind::Group => "_GroupTuple",
                Kind::Range { .. } => "range",
                Kind::Keys => "dict_keys",
                Kind::Values => "dict_values",
                Kind::Items => "dict_items",
            },
            Self::Dict(_) => "dict",
            Self::Object(_) => "object",
            Self::Function(_) => "function",
            Self::Method(_) => "method",
        }
    }

    /// Fails for an undefined value, as Python does when one is used.
    pub fn unless_undefined(&self) -> Result<&Self> {
        match self {
            Self::Undefined(name) => Err(Fault::new(format!("'{}' is undefined", &***name))),
            value => Ok(value),
        }
    }

    /// Nesting depth of the containers in the value.
    pub fn depth(&self) -> u32 {
        match self {
            Self::Seq(seq) => seq.depth(),
            Self::Dict(dict) => dict.depth(),
            Self::Method(method) => method.depth(),
            _ => 0,
        }
    }

    /// Whether the value can be the key of a mapping.
    pub fn is_hashable(&self, meter: &Meter) -> Result<bool> {
        meter.steps(1)?;
        Ok(match self {
            Self::Seq(seq) if seq.is_tuple() => {
                for item in seq.iter() {
                    if !item.is_hashable(meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Seq(seq) => matches!(seq.kind, Kind::Range { .. }),
            Self::Dict(_) => false,
            _ => true,
        })
    }
}
