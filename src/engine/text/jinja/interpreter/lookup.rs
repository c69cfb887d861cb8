//! Variables, attributes, subscripts and slices.

use super::super::fault::{Result, fail};
use super::super::functions;
use super::super::meter::Text;
use super::super::methods;
use super::super::objects::{Object, Scope};
use super::super::value::{Dict, Kind, List, Seq, Value};
use super::Interpreter;

impl<'t> Interpreter<'t> {
    pub(super) fn variable(&mut self, name: &str, scope: &Scope<'t>) -> Result<Value> {
        match scope.get(name)? {
            Some(value) => Ok(value),
            None => match functions::named(name) {
                Some(function) => Ok(Value::Function(function)),
                None => Value::undefined(&self.meter, name),
            },
        }
    }

    /// `value.name`: an attribute or method, else the item with this key.
    pub fn attribute(&mut self, value: &Value, name: &str) -> Result<Value> {
        match self.own_attribute(value, name)? {
            Some(found) => Ok(found),
            None => match value {
                Value::Dict(dict) => self.or_undefined(dict.get_str(name)?.cloned(), name),
                _ => Value::undefined(&self.meter, name),
            },
        }
    }

    /// `value[key]`: the item with this key, else the attribute.
    pub fn item(&mut self, value: &Value, key: &Value) -> Result<Value> {
        let found = match (value.unless_undefined()?, key) {
            (Value::Dict(dict), _) if matches!(key, Value::Seq(_) | Value::Dict(_)) => {
                // No mapping contains a key that cannot be hashed.
                dict.get(key).unwrap_or_default().cloned()
            }
            (Value::Dict(dict), _) => dict.get(key)?.cloned(),
            (Value::Seq(seq), Value::Int(_) | Value::Bool(_)) if seq.has_positions() => {
                index(key, seq.len()).map(|at| seq[at].clone())
            }
            (Value::Str(text), Value::Int(_) | Value::Bool(_)) => {
                self.meter.work(text.len())?;
                let at = index(key, text.chars().count());
                match at.and_then(|at| text.chars().nth(at)) {
                    Some(c) => {
                        let c = c.encode_utf8(&mut [0; 4]).to_owned();
                        Some(Value::str(&self.meter, &c)?)
                    }
                    None => None,
                }
            }
            _ => None,
        };
        match (found, key) {
            (None, Value::Str(name)) => {
                let found = self.own_attribute(value, name)?;
                self.or_undefined(found, name)
            }
            (found, _) => self.or_undefined(found, "an item"),
        }
    }

    fn or_undefined(&self, found: Option<Value>, name: &str) -> Result<Value> {
        match found {
            Some(value) => Ok(value),
            None => Value::undefined(&self.meter, name),
        }
    }

    /// The result of Python's `getattr`.
    pub fn own_attribute(&mut self, value: &Value, name: &str) -> Result<Option<Value>> {
        if let Value::Object(id) = value {
            let method = match self.objects.get(*id)? {
                Object::Namespace(attributes) => return Ok(attributes.get_str(name)?.cloned()),
                Object::Loop(_) => {
                    let found = self.loop_attribute(*id, name)?;
                    return Ok(Some(found).filter(|found| !found.is_undefined()));
                }
                Object::Macro(r#macro) if name == "name" => {
                    return match &r#macro.definition.name {
                        Some(name) => Value::str(&self.meter, name).map(Some),
                        None => Ok(Some(Value::None)),
                    };
                }
                Object::Cycler { items, at } => match name {
                    "current" => return Ok(Some(items[*at].clone())),
                    "next" => "next",
                    "reset" => "reset",
                    _ => return Ok(None),
                },
                _ => return Ok(None),
            };
            return Value::method(&self.meter, value, method).map(Some);
        }
        if let Value::Seq(seq) = value.unless_undefined()?
            && seq.kind == Kind::Group
        {
            match name {
                "grouper" => return Ok(seq.first().cloned()),
                "list" => return Ok(seq.last().cloned()),
                _ => {}
            }
        }
        match methods::named(value, name) {
            Some(name) => Value::method(&self.meter, value, name).map(Some),
            None => Ok(None),
        }
    }

    /// `value[start:stop:step]`
    pub fn slice(
        &mut self,
        value: &Value,
        start: &Value,
        stop: &Value,
        step: &Value,
    ) -> Result<Value> {
        let bound = |value: &Value| match (value, value.as_int()) {
            (Value::None, _) => Ok(None),
            (_, Some(number)) => Ok(Some(number)),
            _ => fail!("the bounds of a slice have to be integers"),
        };
        let length = match value.unless_undefined()? {
            Value::Str(text) => {
                self.meter.work(text.len())?;
                text.chars().count()
            }
            Value::Seq(seq) if seq.has_positions() => seq.len(),
            _ => return fail!("{} cannot be sliced", value.type_name()),
        };
        let positions = Positions::new(length, bound(start)?, bound(stop)?, bound(step)?)?;
        match value {
            Value::Str(text) => {
                let mut out = Text::new(&self.meter)?;
                if positions.step == 1 {
                    let byte =
                        |at: usize| text.char_indices().nth(at).map_or(text.len(), |(b, _)| b);
                    let (from, to) = (byte(positions.first()), byte(positions.end()));
                    out.push(&text[from..to])?;
                } else {
                    self.meter.work(4 * text.len())?;
                    let chars: Vec<char> = text.chars().collect();
                    for at in positions {
                        out.push_char(chars[at])?;
                    }
                }
                Ok(out.finish())
            }
            Value::Seq(seq) => {
                let kind = match seq.kind {
                    Kind::Range { start, step, .. } => positions.of_range(start, step),
                    _ if seq.is_tuple() => Kind::Tuple,
                    kind => kind,
                };
                self.slice_seq(seq, positions)?.finish(kind)
            }
            _ => fail!("{} cannot be sliced", value.type_name()),
        }
    }

    fn slice_seq(&self, seq: &Seq, positions: Positions) -> Result<List> {
        let mut list = List::new(&self.meter)?;
        for at in positions {
            list.push(seq[at].clone())?;
        }
        Ok(list)
    }

    /// `dict(mapping or pairs, name=value)`
    pub fn dict_from(
        &mut self,
        from: Option<Value>,
        named: Vec<(Box<str>, Value)>,
    ) -> Result<Dict> {
        let mut dict = Dict::new(&self.meter)?;
        match &from {
            None => {}
            Some(Value::Dict(other)) => {
                for (key, value) in other.entries() {
                    dict.insert(key.clone(), value.clone())?;
                }
            }
            Some(value) => {
                for pair in self.items(value.unless_undefined()?)?.iter() {
                    match &self.items(pair)?[..] {
                        [key, value] => dict.insert(key.clone(), value.clone())?,
                        other => return fail!("a pair for a mapping has {} values", other.len()),
                    }
                }
            }
        }
        for (name, value) in named {
            dict.insert(Value::str(&self.meter, &name)?, value)?;
        }
        Ok(dict)
    }
}

/// The position of a Python index; negative ones count from the end.
fn index(key: &Value, length: usize) -> Option<usize> {
    let at = key.as_int()?;
    let at = if at < 0 {
        at.checked_add(i64::try_from(length).ok()?)?
    } else {
        at
    };
    usize::try_from(at).ok().filter(|&at| at < length)
}

/// The positions of a slice.
#[derive(Debug, Clone, Copy)]
struct Positions {
    at: i64,
    stop: i64,
    step: i64,
}

impl Positions {
    fn new(
        length: usize,
        start: Option<i64>,
        stop: Option<i64>,
        step: Option<i64>,
    ) -> Result<Self> {
        let length = length as i64;
        let step = step.unwrap_or(1);
        if step == 0 {
            return fail!("the step of a slice cannot be 0");
        }
        let (lowest, highest) = if step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let clamp = |bound: Option<i64>, default: i64| match bound {
            None => default,
            Some(at) if at < 0 => at.saturating_add(length).clamp(lowest, highest),
            Some(at) => at.clamp(lowest, highest),
        };
        Ok(if step > 0 {
            Self {
                at: clamp(start, 0),
                stop: clamp(stop, length),
                step,
            }
        } else {
            Self {
                at: clamp(start, length - 1),
                stop: clamp(stop, -1),
                step,
            }
        })
    }

    fn first(&self) -> usize {
        self.at as usize
    }

    fn end(&self) -> usize {
        self.stop.max(self.at) as usize
    }

    /// The kind of the range that this slice of a range returns in Python.
    fn of_range(&self, start: i64, step: i64) -> Kind {
        Kind::Range {
            start: start.saturating_add(self.at.saturating_mul(step)),
            stop: start.saturating_add(self.stop.saturating_mul(step)),
            step: step.saturating_mul(self.step),
        }
    }
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let left = if self.step > 0 {
            self.at < self.stop
        } else {
            self.at > self.stop
        };
        let at = self.at;
        if left {
            self.at = at.saturating_add(self.step);
        }
        left.then_some(at as usize)
    }
}
