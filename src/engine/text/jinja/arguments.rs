//! Arguments of filters, tests, functions and methods.

use super::fault::{Fault, Result, fail};
use super::value::Value;

/// The arguments of a call.
#[derive(Debug, Clone, Default)]
pub struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(Box<str>, Value)>,
}

impl Args {
    pub fn positional(positional: Vec<Value>) -> Self {
        Self {
            positional,
            named: Vec::new(),
        }
    }

    /// The arguments in the order of the parameters; `None` for omitted ones.
    pub fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
    ) -> Result<[Option<Value>; N]> {
        let mut bound = [const { None }; N];
        if self.positional.len() > N {
            return fail!("{function} takes at most {N} arguments");
        }
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            match names.iter().position(|other| **other == *name) {
                Some(at) if bound[at].is_none() => bound[at] = Some(value),
                Some(_) => return fail!("{function} has two values for {name:.40}"),
                None => return fail!("{function} has no parameter {name:.40}"),
            }
        }
        Ok(bound)
    }

    /// Fails if there is any argument.
    pub fn none(self, function: &str) -> Result<()> {
        self.bind::<0>(function, []).map(drop)
    }
}

/// A required argument.
pub fn required(value: Option<Value>, name: &str) -> Result<Value> {
    value.ok_or_else(|| Fault::new(format!("the argument {name} is missing")))
}

/// An integer argument; `default` if it is omitted.
pub fn int_or(value: &Option<Value>, default: i64, name: &str) -> Result<i64> {
    match value {
        None => Ok(default),
        Some(value) => int(value, name),
    }
}

pub fn int(value: &Value, name: &str) -> Result<i64> {
    match value.unless_undefined()?.as_int() {
        Some(number) => Ok(number),
        None => fail!("{name} has to be an integer, not {}", value.type_name()),
    }
}

/// A string argument.
pub fn str<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    match value.unless_undefined()?.as_str() {
        Some(text) => Ok(text),
        None => fail!("{name} has to be a string, not {}", value.type_name()),
    }
}

/// A boolean argument; `default` if it is omitted.
pub fn flag(value: &Option<Value>, default: bool) -> bool {
    value.as_ref().map_or(default, Value::is_true)
}

/// A length; negative numbers count as 0.
pub fn length(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
