//! Iteration, membership and length.

use super::super::fault::{Result, fail};
use super::super::objects::{Generator, Object};
use super::super::value::{Kind, List, Seq, Value};
use super::Interpreter;
use std::rc::Rc;

impl Interpreter<'_> {
    /// The values to iterate over: items, characters or keys. Consumes a generator.
    pub fn items(&mut self, value: &Value) -> Result<Rc<Seq>> {
        let mut list = List::new(&self.meter)?;
        match value {
            Value::Seq(seq) => return Ok(seq.clone()),
            Value::Undefined(_) => {}
            Value::Str(text) => {
                for c in text.chars() {
                    list.push_str(c.encode_utf8(&mut [0; 4]))?;
                }
            }
            Value::Dict(dict) => {
                for (key, _) in dict.entries() {
                    list.push(key.clone())?;
                }
            }
            Value::Object(id) => match self.objects.get_mut(*id)? {
                Object::Generator(generator) => {
                    if let Some(fault) = &generator.fault {
                        return Err(fault.clone());
                    }
                    let from = std::mem::replace(&mut generator.at, generator.items.len());
                    if from == 0 {
                        return Ok(generator.items.clone());
                    }
                    list.extend(&generator.items[from..])?;
                }
                _ => return fail!("this object cannot be iterated over"),
            },
            _ => return fail!("{} cannot be iterated over", value.type_name()),
        }
        list.into_seq(Kind::List)
    }

    /// Creates a generator. Its values are computed immediately, but an error is raised only when iteration reaches it.
    pub fn generator(
        &mut self,
        fill: impl FnOnce(&mut Self, &mut List) -> Result<()>,
    ) -> Result<Value> {
        let mut list = List::new(&self.meter)?;
        let fault = match fill(self, &mut list) {
            Err(fault) if fault.is_limit() => return Err(fault),
            filled => filled.err(),
        };
        let object = Object::Generator(Generator {
            items: list.into_seq(Kind::List)?,
            at: 0,
            fault,
        });
        Ok(Value::Object(self.objects.insert(object)?))
    }

    /// `needle in haystack`
    pub fn contains(&mut self, haystack: &Value, needle: &Value) -> Result<bool> {
        match haystack {
            Value::Str(text) => match needle {
                Value::Str(needle) => {
                    self.meter.work(text.len() + needle.len())?;
                    Ok(text.contains(&***needle))
                }
                Value::Undefined(_) => needle.unless_undefined().map(|_| false),
                _ => fail!("a string cannot contain {}", needle.type_name()),
            },
            Value::Dict(dict) => Ok(dict.get(needle)?.is_some()),
            _ => {
                let items = self.items(haystack)?;
                for item in items.iter() {
                    if item.equals(needle, &self.meter)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Number of values or characters of a value.
    pub fn count(&mut self, value: &Value) -> Result<usize> {
        match value {
            Value::Undefined(_) => Ok(0),
            Value::Str(text) => {
                self.meter.work(text.len())?;
                Ok(text.chars().count())
            }
            Value::Seq(seq) => Ok(seq.len()),
            Value::Dict(dict) => Ok(dict.entries().len()),
            _ => fail!("{} has no length", value.type_name()),
        }
    }
}
