//! What a template computes with: the values that Python would have.

use super::fault::{Fault, Result};
use super::meter::{Charge, Meter, Text};
use super::objects::ObjectId;
use std::rc::Rc;

/// How deep lists, tuples and mappings may nest, so that walking and dropping them is safe.
const MAX_NESTING: u32 = 100;

/// A value. Texts and containers never change once they are made.
#[derive(Debug, Clone)]
pub enum Value {
    /// The result of looking for what is not there, with its name.
    Undefined(Rc<Str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<Str>),
    Seq(Rc<Seq>),
    Dict(Rc<Dict>),
    /// What can change or be called: a namespace, macro, loop or generator.
    Object(ObjectId),
    Function(Function),
    Method(Rc<Method>),
}

/// A function that every template finds.
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

/// A text and what it costs.
#[derive(Debug)]
pub struct Str {
    text: Box<str>,
    charge: Charge,
}

impl Str {
    pub fn new(text: Box<str>, charge: Charge) -> Self {
        Self { text, charge }
    }

    pub fn meter(&self) -> &Rc<Meter> {
        self.charge.meter()
    }
}

impl std::ops::Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// What a sequence is in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    List,
    Tuple,
    Range {
        start: i64,
        stop: i64,
        step: i64,
    },
    /// The views of a mapping.
    Keys,
    Values,
    Items,
    /// A key and the items that have it, from `groupby`.
    Group,
}

/// Values in a row.
#[derive(Debug)]
pub struct Seq {
    pub kind: Kind,
    items: Vec<Value>,
    depth: u32,
    _charge: Charge,
}

impl std::ops::Deref for Seq {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl Seq {
    /// Whether Python would index and slice it.
    pub fn has_positions(&self) -> bool {
        !matches!(self.kind, Kind::Keys | Kind::Values | Kind::Items)
    }

    pub fn is_tuple(&self) -> bool {
        matches!(self.kind, Kind::Tuple | Kind::Group)
    }
}

/// A sequence that is being filled.
#[derive(Debug)]
pub struct List {
    items: Vec<Value>,
    depth: u32,
    charge: Charge,
}

impl List {
    pub fn new(meter: &Rc<Meter>) -> Result<Self> {
        Ok(Self {
            items: Vec::new(),
            depth: 0,
            charge: Charge::new(meter)?,
        })
    }

    pub fn push(&mut self, value: Value) -> Result<()> {
        self.charge.grow(size_of::<Value>())?;
        self.depth = self.depth.max(value.depth());
        self.items.push(value);
        Ok(())
    }

    pub fn push_str(&mut self, text: &str) -> Result<()> {
        let value = Value::str(self.charge.meter(), text)?;
        self.push(value)
    }

    pub fn extend(&mut self, values: &[Value]) -> Result<()> {
        values.iter().try_for_each(|value| self.push(value.clone()))
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn reverse(&mut self) {
        self.items.reverse();
    }

    pub fn into_seq(self, kind: Kind) -> Result<Rc<Seq>> {
        Ok(Rc::new(Seq {
            kind,
            depth: one_deeper(self.depth)?,
            items: self.items,
            _charge: self.charge,
        }))
    }

    pub fn finish(self, kind: Kind) -> Result<Value> {
        Ok(Value::Seq(self.into_seq(kind)?))
    }
}

/// Keys and values in the order in which they were put in.
#[derive(Debug)]
pub struct Dict {
    entries: Vec<(Value, Value)>,
    depth: u32,
    charge: Charge,
}

impl Dict {
    pub fn new(meter: &Rc<Meter>) -> Result<Self> {
        Ok(Self {
            entries: Vec::new(),
            depth: 0,
            charge: Charge::new(meter)?,
        })
    }

    pub fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// The value of a key; an error for a key that Python cannot hash.
    pub fn get(&self, key: &Value) -> Result<Option<&Value>> {
        Ok(self.position(key)?.map(|at| &self.entries[at].1))
    }

    pub fn get_str(&self, key: &str) -> Result<Option<&Value>> {
        self.charge.meter().work(key.len() + self.entries.len())?;
        let is_key =
            |(name, _): &&(Value, Value)| matches!(name, Value::Str(name) if &***name == key);
        Ok(self.entries.iter().find(is_key).map(|(_, value)| value))
    }

    /// Puts a value in, in place of one with the same key.
    pub fn insert(&mut self, key: Value, value: Value) -> Result<()> {
        self.depth = self.depth.max(key.depth()).max(value.depth());
        match self.position(&key)? {
            Some(at) => self.entries[at].1 = value,
            None => {
                self.charge.grow(size_of::<(Value, Value)>())?;
                self.entries.push((key, value));
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Result<Value> {
        one_deeper(self.depth)?;
        Ok(Value::Dict(Rc::new(self)))
    }

    fn position(&self, key: &Value) -> Result<Option<usize>> {
        if !key.is_hashable(self.charge.meter())? {
            return Err(Fault::new(format!("unhashable type: {}", key.type_name())));
        }
        for (at, (name, _)) in self.entries.iter().enumerate() {
            if name.equals(key, self.charge.meter())? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

/// A method that was looked up and not called yet.
#[derive(Debug)]
pub struct Method {
    pub receiver: Value,
    pub name: &'static str,
    depth: u32,
    _charge: Charge,
}

impl Value {
    pub fn str(meter: &Rc<Meter>, text: &str) -> Result<Self> {
        let mut out = Text::new(meter)?;
        out.push(text)?;
        Ok(out.finish())
    }

    /// The result of looking for `name`, which is not there.
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
        Ok(Self::Method(Rc::new(Method {
            depth: one_deeper(receiver.depth())?,
            receiver: receiver.clone(),
            name,
            _charge: Charge::new(meter)?,
        })))
    }

    pub fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// What an integer is to Python: truth values are numbers too.
    pub fn as_int(&self) -> Option<i64> {
        match *self {
            Self::Int(number) => Some(number),
            Self::Bool(truth) => Some(i64::from(truth)),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The name of its type in Python.
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

    /// The error that Python raises when what is not there is used.
    pub fn unless_undefined(&self) -> Result<&Self> {
        match self {
            Self::Undefined(name) => Err(Fault::new(format!("'{}' is undefined", &***name))),
            value => Ok(value),
        }
    }

    /// How many containers deep it is.
    fn depth(&self) -> u32 {
        match self {
            Self::Seq(seq) => seq.depth,
            Self::Dict(dict) => dict.depth + 1,
            Self::Method(method) => method.depth,
            _ => 0,
        }
    }

    fn is_hashable(&self, meter: &Meter) -> Result<bool> {
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

fn one_deeper(depth: u32) -> Result<u32> {
    if depth >= MAX_NESTING {
        return Err(Fault::limit("values nest too deeply"));
    }
    Ok(depth + 1)
}
