//! Filters that cut and count sequences.

use super::super::arguments::{self, Args, required};
use super::super::ast::Operator;
use super::super::fault::{Result, fail};
use super::super::interpreter::Interpreter;
use super::super::meter::Text;
use super::super::objects::Object;
use super::super::value::{Kind, List, Value};
use super::Filter;

pub const FILTERS: &[(&str, Filter)] = &[
    ("batch", batch),
    ("count", length),
    ("first", first),
    ("items", items),
    ("last", last),
    ("length", length),
    ("list", list),
    ("reverse", reverse),
    ("slice", slice),
    ("sum", sum),
];

fn length(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("length")?;
    interpreter
        .count(&value)
        .map(|count| Value::Int(count as i64))
}

fn list(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("list")?;
    let mut list = List::new(&interpreter.meter)?;
    list.extend(&interpreter.items(&value)?)?;
    list.finish(Kind::List)
}

fn items(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("items")?;
    interpreter.generator(|interpreter, list| {
        match &value {
            Value::Undefined(_) => {}
            Value::Dict(dict) => {
                for (key, value) in dict.entries() {
                    let pair = [key.clone(), value.clone()];
                    list.push(Value::tuple(&interpreter.meter, pair)?)?;
                }
            }
            _ => return fail!("only a mapping has items, not {}", value.type_name()),
        }
        Ok(())
    })
}

fn first(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("first")?;
    if let Value::Object(id) = value
        && let Object::Generator(generator) = interpreter.objects.get_mut(id)?
        && let Some(item) = generator.items.get(generator.at).cloned()
    {
        generator.at += 1;
        return Ok(item);
    }
    match interpreter.items(&value)?.first() {
        Some(item) => Ok(item.clone()),
        None => Value::undefined(&interpreter.meter, "the first item"),
    }
}

fn last(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("last")?;
    if let Value::Object(_) = value {
        return fail!("a generator has no last item");
    }
    match interpreter.items(&value)?.last() {
        Some(item) => Ok(item.clone()),
        None => Value::undefined(&interpreter.meter, "the last item"),
    }
}

fn reverse(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    args.none("reverse")?;
    if let Value::Str(text) = &value {
        let mut out = Text::new(&interpreter.meter)?;
        text.chars().rev().try_for_each(|c| out.push_char(c))?;
        return Ok(out.finish());
    }
    let items = interpreter.items(&value)?;
    let backwards = |list: &mut List| items.iter().rev().try_for_each(|i| list.push(i.clone()));
    match value {
        // Values that Python cannot iterate over in reverse are turned into a list first.
        Value::Object(_) => {
            let mut list = List::new(&interpreter.meter)?;
            backwards(&mut list)?;
            list.finish(Kind::List)
        }
        _ => interpreter.generator(|_, list| backwards(list)),
    }
}

fn batch(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [size, fill] = args.bind("batch", ["linecount", "fill_with"])?;
    let size = required(size, "linecount")?;
    interpreter.generator(|interpreter, rows| {
        let size = arguments::int(&size, "linecount")?;
        let mut row = List::new(&interpreter.meter)?;
        for item in interpreter.items(&value)?.iter() {
            if row.len() as i64 == size {
                let full = std::mem::replace(&mut row, List::new(&interpreter.meter)?);
                rows.push(full.finish(Kind::List)?)?;
            }
            row.push(item.clone())?;
        }
        if row.len() == 0 {
            return Ok(());
        }
        if let Some(fill) = fill.filter(|fill| !fill.is_none()) {
            while (row.len() as i64) < size {
                row.push(fill.clone())?;
            }
        }
        rows.push(row.finish(Kind::List)?)
    })
}

fn slice(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [slices, fill] = args.bind("slice", ["slices", "fill_with"])?;
    let slices = required(slices, "slices")?;
    let fill = fill.filter(|fill| !fill.is_none());
    interpreter.generator(|interpreter, rows| {
        let items = interpreter.items(&value)?;
        let count = match arguments::int(&slices, "slices")? {
            0 => return fail!("division by zero"),
            slices => arguments::length(slices),
        };
        let mut at = 0;
        for number in 0..count {
            let is_longer = number < items.len() % count;
            let end = at + items.len() / count + usize::from(is_longer);
            let mut row = List::new(&interpreter.meter)?;
            row.extend(&items[at..end])?;
            if let Some(fill) = fill.as_ref().filter(|_| !is_longer) {
                row.push(fill.clone())?;
            }
            rows.push(row.finish(Kind::List)?)?;
            at = end;
        }
        Ok(())
    })
}

fn sum(interpreter: &mut Interpreter, value: Value, args: Args) -> Result<Value> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"])?;
    let attribute = attribute.unwrap_or(Value::None);
    let mut sum = start.unwrap_or(Value::Int(0));
    if let Value::Str(_) = sum {
        return fail!("strings are joined, not summed");
    }
    for item in interpreter.items(&value)?.iter() {
        interpreter.meter.steps(1)?;
        let item = interpreter.path(item, &attribute)?;
        sum = interpreter.arithmetic(Operator::Add, &sum, &item)?;
    }
    Ok(sum)
}
