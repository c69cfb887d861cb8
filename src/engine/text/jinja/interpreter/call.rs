//! Calls: macros, call blocks, functions and methods.

use super::super::arguments::Args;
use super::super::ast::Call;
use super::super::fault::{Result, fail};
use super::super::functions;
use super::super::meter::Text;
use super::super::methods;
use super::super::objects::{Macro, Object, ObjectId, Scope};
use super::super::value::{Dict, Value};
use super::Interpreter;
use std::rc::Rc;

impl<'t> Interpreter<'t> {
    /// Calls a value.
    pub fn call(&mut self, callee: &Value, args: Args) -> Result<Value> {
        let _level = self.meter.descend()?;
        match callee.unless_undefined()? {
            Value::Function(function) => functions::call(self, *function, args),
            Value::Method(method) => match method.receiver {
                Value::Object(id) => self.call_object_method(id, method.name, args),
                _ => methods::call(self, &method.receiver, method.name, args),
            },
            Value::Object(id) => self.call_object(*id, args),
            _ => fail!("{} cannot be called", callee.type_name()),
        }
    }

    fn call_object(&mut self, id: ObjectId, args: Args) -> Result<Value> {
        match self.objects.get_mut(id)? {
            Object::Macro(definition) => {
                let definition = definition.clone();
                self.call_macro(&definition, args)
            }
            Object::Loop(_) => self.call_loop(id, args),
            Object::Joiner { separator, used } => {
                args.none("a joiner")?;
                if std::mem::replace(used, true) {
                    return Ok(separator.clone());
                }
                Value::str(&self.meter, "")
            }
            _ => fail!("this object cannot be called"),
        }
    }

    fn call_object_method(&mut self, id: ObjectId, name: &str, args: Args) -> Result<Value> {
        match self.objects.get_mut(id)? {
            Object::Loop(_) => self.loop_method(id, name, args),
            Object::Cycler { items, at } => {
                args.none("a cycler's method")?;
                match name {
                    "next" => {
                        let item = items[*at].clone();
                        *at = (*at + 1) % items.len();
                        Ok(item)
                    }
                    _ => {
                        *at = 0;
                        Ok(Value::None)
                    }
                }
            }
            _ => fail!("this object has no method {name:.40}"),
        }
    }

    /// The output of a macro for these arguments.
    fn call_macro(&mut self, r#macro: &Macro<'t>, mut args: Args) -> Result<Value> {
        let definition = r#macro.definition;
        let name = definition.name.as_deref().unwrap_or("caller");
        let scope = Scope::new(Some(r#macro.scope.clone()), &self.meter)?;
        let mut positional = args.positional.into_iter();
        for (parameter, default) in &definition.parameters {
            self.meter.steps(1 + args.named.len())?;
            let named = args.named.iter().position(|(other, _)| other == parameter);
            let value = match (positional.next(), named) {
                (Some(_), Some(_)) => {
                    return fail!("{name:.40} has two values for {parameter:.40}");
                }
                (Some(value), None) => value,
                (None, Some(at)) => args.named.remove(at).1,
                (None, None) => match default {
                    Some(default) => self.eval(default, &scope)?,
                    None => Value::undefined(&self.meter, parameter)?,
                },
            };
            scope.set(parameter, value)?;
        }
        if definition.uses_caller {
            let caller = match args
                .named
                .iter()
                .position(|(other, _)| &**other == "caller")
            {
                Some(at) => args.named.remove(at).1,
                None => Value::undefined(&self.meter, "caller")?,
            };
            scope.set("caller", caller)?;
        }
        if definition.uses_varargs {
            scope.set("varargs", Value::tuple(&self.meter, positional)?)?;
        } else if positional.next().is_some() {
            let count = definition.parameters.len();
            return fail!("{name:.40} takes at most {count} arguments");
        }
        if definition.uses_kwargs {
            let mut kwargs = Dict::new(&self.meter)?;
            for (key, value) in args.named {
                kwargs.insert(Value::str(&self.meter, &key)?, value)?;
            }
            scope.set("kwargs", kwargs.finish()?)?;
        } else if let Some((unknown, _)) = args.named.first() {
            return fail!("{name:.40} has no parameter {unknown:.40}");
        }
        self.captured(|this| this.run(&definition.body, &scope).map(drop))
    }

    /// `{% call %}`: a call that receives the block as the macro `caller`.
    pub(super) fn call_block(&mut self, call: &'t Call, scope: &Rc<Scope<'t>>) -> Result<Value> {
        let callee = self.eval(&call.callee, scope)?;
        let mut args = self.args(&call.arguments, scope)?;
        let caller = self.objects.insert(Object::Macro(Macro {
            definition: &call.caller,
            scope: scope.clone(),
        }))?;
        args.named.push(("caller".into(), Value::Object(caller)));
        self.call(&callee, args)
    }

    /// The output of `run`.
    pub(super) fn captured(&mut self, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<Value> {
        let around = std::mem::replace(&mut self.out, Text::new(&self.meter)?);
        let result = run(self);
        let text = std::mem::replace(&mut self.out, around);
        result.map(|()| text.finish())
    }

    /// The entries of `**kwargs`.
    pub(super) fn add_named(&mut self, rest: &Value, args: &mut Args) -> Result<()> {
        let Value::Dict(dict) = rest.unless_undefined()? else {
            return fail!(
                "named arguments come from a mapping, not {}",
                rest.type_name()
            );
        };
        for (key, value) in dict.entries() {
            let Value::Str(name) = key else {
                return fail!("the names of arguments have to be text");
            };
            self.meter.steps(1 + args.named.len())?;
            if args.named.iter().any(|(other, _)| **other == ***name) {
                return fail!("two values for {:.40}", &***name);
            }
            args.named.push(((***name).into(), value.clone()));
        }
        Ok(())
    }
}
