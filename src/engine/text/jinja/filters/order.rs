//! Filters that compare the values of a sequence.

use super::super::arguments::{Args, flag, required};
use super::super::compare::sort;
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Charge;
use super::super::methods::case;
use super::super::value::{Dict, Kind, List, Value};
use super::Filter;
use std::cmp::Ordering;

pub const FILTERS: &[(&str, Filter)] = &[
    ("dictsort", dictsort),
    ("groupby", groupby),
    ("max", |interpreter, value, args| {
        extreme(interpreter, value, args, Ordering::Greater)
    }),
    ("min", |interpreter, value, args| {
        extreme(interpreter, value, args, Ordering::Less)
    }),
    ("sort", sorted),
    ("unique", unique),
];

impl Interpreter<'_> {
    /// The sort key of a value: an attribute or the value itself, in lower case unless sorting is case-sensitive.
    fn key(&mut self, value: &Value, attribute: &Value, case_sensitive: bool) -> Result<Value> {
        let key = self.path(value, attribute)?;
        match &key {
            Value::Str(text) if !case_sensitive => case::lower(&self.meter, text),
            _ => Ok(key),
        }
    }

    /// Values with their keys. The memory is charged until the charge is dropped.
    fn keyed(
        &mut self,
        values: &[Value],
        mut key: impl FnMut(&mut Self, &Value) -> Result<Value>,
    ) -> Result<(Vec<(Value, Value)>, Charge)> {
        let mut charge = Charge::new(&self.meter)?;
        let mut rows = Vec::new();
        for value in values {
            charge.grow(2 * size_of::<(Value, Value)>())?;
            self.meter.steps(1)?;
            rows.push((key(self, value)?, value.clone()));
        }
        Ok((rows, charge))
    }
}

fn sorted(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [reverse, case_sensitive, attribute] =
        args.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let case_sensitive = flag(&case_sensitive, false);
    let attribute = attribute.unwrap_or(Value::None);
    let attributes: Vec<Value> = match &attribute {
        // Several attributes, most significant first.
        Value::Str(paths) if paths.contains(',') => {
            let meter = interpreter.meter.clone();
            let path = |path| Value::str(&meter, path);
            paths.split(',').map(path).collect::<Result<_>>()?
        }
        _ => vec![attribute],
    };
    let items = interpreter.items(&value)?;
    let (rows, _charge) = interpreter.keyed(&items, |interpreter, item| {
        let mut keys = List::new(&interpreter.meter)?;
        for attribute in &attributes {
            keys.push(interpreter.key(item, attribute, case_sensitive)?)?;
        }
        keys.finish(Kind::List)
    })?;
    let rows = sort(rows, flag(&reverse, false), &interpreter.meter)?;
    Value::list(&interpreter.meter, rows.into_iter().map(|(_, item)| item))
}

fn dictsort(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [case_sensitive, by, reverse] =
        args.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let case_sensitive = flag(&case_sensitive, false);
    let place = match by.as_ref().map_or(Some("key"), Value::as_str) {
        Some("key") => 0,
        Some("value") => 1,
        _ => return fail!("a mapping is sorted by key or by value"),
    };
    let Value::Dict(dict) = value.unless_undefined()? else {
        return fail!("only a mapping has items, not {}", value.type_name());
    };
    let mut pairs = List::new(&interpreter.meter)?;
    for (key, value) in dict.entries() {
        pairs.push(Value::tuple(
            &interpreter.meter,
            [key.clone(), value.clone()],
        )?)?;
    }
    let pairs = pairs.into_seq(Kind::List)?;
    let (rows, _charge) = interpreter.keyed(&pairs, |interpreter, pair| match pair {
        Value::Seq(pair) => interpreter.key(&pair[place], &Value::None, case_sensitive),
        _ => Ok(Value::None),
    })?;
    let rows = sort(rows, flag(&reverse, false), &interpreter.meter)?;
    Value::list(&interpreter.meter, rows.into_iter().map(|(_, pair)| pair))
}

fn groupby(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [attribute, default, case_sensitive] =
        args.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let attribute = required(attribute, "attribute")?;
    let case_sensitive = flag(&case_sensitive, false);
    let default = default.filter(|default| !default.is_none());
    let items = interpreter.items(&value)?;
    let shown = |interpreter: &mut Interpreter, item: &Value| {
        interpreter.path_or(item, &attribute, default.as_ref())
    };
    let (rows, _charge) = interpreter.keyed(&items, |interpreter, item| {
        let key = shown(interpreter, item)?;
        interpreter.key(&key, &Value::None, case_sensitive)
    })?;
    let rows = sort(rows, false, &interpreter.meter)?;
    let mut groups = List::new(&interpreter.meter)?;
    let mut rest = &rows[..];
    while let [(key, item), ..] = rest {
        let mut members = List::new(&interpreter.meter)?;
        let name = shown(interpreter, item)?;
        while let Some((other, item)) = rest.first()
            && other.equals(key, &interpreter.meter)?
        {
            members.push(item.clone())?;
            rest = &rest[1..];
        }
        if members.len() == 0 {
            return fail!("a value is not equal to itself");
        }
        let mut group = List::new(&interpreter.meter)?;
        group.push(name)?;
        group.push(members.finish(Kind::List)?)?;
        groups.push(group.finish(Kind::Group)?)?;
    }
    groups.finish(Kind::List)
}

fn extreme(
    interpreter: &mut Interpreter,
    value: Value,
    args: Args,
    wanted: Ordering,
) -> Result<Value> {
    let [case_sensitive, attribute] = args.bind("min", ["case_sensitive", "attribute"])?;
    let case_sensitive = flag(&case_sensitive, false);
    let attribute = attribute.unwrap_or(Value::None);
    let mut best: Option<(Value, Value)> = None;
    for item in interpreter.items(&value)?.iter() {
        let key = interpreter.key(item, &attribute, case_sensitive)?;
        let is_better = match &best {
            None => true,
            Some((best, _)) => key.compare(best, &interpreter.meter)? == Some(wanted),
        };
        if is_better {
            best = Some((key, item.clone()));
        }
    }
    match best {
        Some((_, item)) => Ok(item),
        None => Value::undefined(&interpreter.meter, "the min of an empty sequence"),
    }
}

fn unique(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [case_sensitive, attribute] = args.bind("unique", ["case_sensitive", "attribute"])?;
    let case_sensitive = flag(&case_sensitive, false);
    let attribute = attribute.unwrap_or(Value::None);
    interpreter.generator(|interpreter, list| {
        let mut seen = Dict::new(&interpreter.meter)?;
        for item in interpreter.items(&value)?.iter() {
            let key = interpreter.key(item, &attribute, case_sensitive)?;
            if seen.get(&key)?.is_none() {
                seen.insert(key, Value::None)?;
                list.push(item.clone())?;
            }
        }
        Ok(())
    })
}
