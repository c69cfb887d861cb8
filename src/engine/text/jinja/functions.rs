//! Global functions.

use super::arguments::{self, Args, required};
use super::display;
use super::fault::{Fault, Result, fail};
use super::interpreter::Interpreter;
use super::meter::Text;
use super::objects::Object;
use super::strftime;
use super::value::{Function, Kind, List, Value};

/// Max number of values of a range, as in Jinja's sandbox.
const MAX_RANGE: u64 = 100_000;

/// The function with this name.
pub fn named(name: &str) -> Option<Function> {
    Some(match name {
        "range" => Function::Range,
        "dict" => Function::Dict,
        "namespace" => Function::Namespace,
        "cycler" => Function::Cycler,
        "joiner" => Function::Joiner,
        "raise_exception" => Function::RaiseException,
        "strftime_now" => Function::StrftimeNow,
        _ => return None,
    })
}

/// Calls a function.
pub fn call(interpreter: &mut Interpreter, function: Function, args: Args) -> Result<Value> {
    match function {
        Function::Range => range(interpreter, args),
        Function::Dict | Function::Namespace => {
            let Args { positional, named } = args;
            let [from] = Args::positional(positional).bind("dict", ["mapping"])?;
            let dict = interpreter.dict_from(from, named)?;
            if function == Function::Dict {
                return dict.finish();
            }
            let is_private = |key: &Value| key.as_str().is_some_and(|name| name.starts_with('_'));
            if dict.entries().iter().any(|(key, _)| is_private(key)) {
                return fail!("names of attributes cannot begin with an underscore");
            }
            let object = Object::Namespace(dict);
            Ok(Value::Object(interpreter.objects.insert(object)?))
        }
        Function::Cycler => {
            if args.positional.is_empty() || !args.named.is_empty() {
                return fail!("cycler takes the values to cycle through");
            }
            let mut items = List::new(&interpreter.meter)?;
            items.extend(&args.positional)?;
            let object = Object::Cycler {
                items: items.into_seq(Kind::Tuple)?,
                at: 0,
            };
            Ok(Value::Object(interpreter.objects.insert(object)?))
        }
        Function::Joiner => {
            let [separator] = args.bind("joiner", ["sep"])?;
            let separator = match separator {
                Some(separator) => separator,
                None => Value::str(&interpreter.meter, ", ")?,
            };
            let object = Object::Joiner {
                separator,
                used: false,
            };
            Ok(Value::Object(interpreter.objects.insert(object)?))
        }
        Function::RaiseException => {
            let [message] = args.bind("raise_exception", ["message"])?;
            let mut text = Text::new(&interpreter.meter)?;
            let message = required(message, "message")?;
            display::write_str(&message, &mut text, &interpreter.objects)?;
            Err(Fault::raised(text.as_str()))
        }
        Function::StrftimeNow => {
            let [format] = args.bind("strftime_now", ["format"])?;
            let format = required(format, "format")?;
            let mut out = Text::new(&interpreter.meter)?;
            strftime::write(
                arguments::str(&format, "format")?,
                &interpreter.now,
                &mut out,
            )?;
            Ok(out.finish())
        }
    }
}

fn range(interpreter: &mut Interpreter, args: Args) -> Result<Value> {
    if !args.named.is_empty() {
        return fail!("range takes no named arguments");
    }
    let numbers: Vec<i64> = args
        .positional
        .iter()
        .map(|value| arguments::int(value, "an argument of range"))
        .collect::<Result<_>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] => (start, stop, step),
        _ => return fail!("range takes one to three numbers"),
    };
    let distance = match step {
        0 => return fail!("the step of a range cannot be 0"),
        1.. if stop > start => stop.abs_diff(start),
        ..0 if stop < start => start.abs_diff(stop),
        _ => 0,
    };
    let count = distance.div_ceil(step.unsigned_abs());
    if count > MAX_RANGE {
        return fail!("a range holds at most {MAX_RANGE} numbers");
    }
    let mut items = List::new(&interpreter.meter)?;
    for at in 0..count as i64 {
        // Values between start and stop cannot overflow.
        items.push(Value::Int(start.wrapping_add(at.wrapping_mul(step))))?;
    }
    items.finish(Kind::Range { start, stop, step })
}
