//! Strings, sequences and mappings. Each accounts for its memory and knows its nesting depth.

use super::fault::{Fault, Result};
use super::meter::{Charge, Meter};
use super::value::Value;
use std::rc::Rc;

/// Max nesting of lists, tuples and mappings, so that traversing and dropping them cannot overflow the stack.
const MAX_NESTING: u32 = 100;

/// A string and its memory account.
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

/// The Python type of a sequence.
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
    /// A key and its items, from `groupby`.
    Group,
}

/// A sequence of values.
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
    /// Whether Python can index and slice it.
    pub fn has_positions(&self) -> bool {
        !matches!(self.kind, Kind::Keys | Kind::Values | Kind::Items)
    }

    pub fn is_tuple(&self) -> bool {
        matches!(self.kind, Kind::Tuple | Kind::Group)
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }
}

/// A sequence under construction.
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

/// Keys and values in order of insertion.
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

    pub fn depth(&self) -> u32 {
        self.depth + 1
    }

    pub fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// The value of a key. Fails for a key that Python cannot hash.
    pub fn get(&self, key: &Value) -> Result<Option<&Value>> {
        Ok(self.position(key)?.map(|at| &self.entries[at].1))
    }

    pub fn get_str(&self, key: &str) -> Result<Option<&Value>> {
        self.charge.meter().work(key.len() + self.entries.len())?;
        let is_key =
            |(name, _): &&(Value, Value)| matches!(name, Value::Str(name) if &***name == key);
        Ok(self.entries.iter().find(is_key).map(|(_, value)| value))
    }

    /// Inserts a value, replacing one with the same key.
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

/// A bound method.
#[derive(Debug)]
pub struct Method {
    pub receiver: Value,
    pub name: &'static str,
    depth: u32,
    _charge: Charge,
}

impl Method {
    pub fn new(meter: &Rc<Meter>, receiver: &Value, name: &'static str) -> Result<Self> {
        Ok(Self {
            depth: one_deeper(receiver.depth())?,
            receiver: receiver.clone(),
            name,
            _charge: Charge::new(meter)?,
        })
    }

    pub fn depth(&self) -> u32 {
        self.depth
    }
}

fn one_deeper(depth: u32) -> Result<u32> {
    if depth >= MAX_NESTING {
        return Err(Fault::limit("values nest too deeply"));
    }
    Ok(depth + 1)
}
