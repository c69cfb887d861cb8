//! Runs a template: statements here; expressions, lookups, calls and loops in submodules.

mod call;
mod expression;
mod iterate;
mod lookup;
mod loops;

use super::ast::{Body, Filter, Kind, Statement, Target};
use super::display;
use super::fault::{Fault, Result, fail};
use super::meter::{Meter, Text};
use super::objects::{Macro, Object, ObjectId, Objects, Scope};
use super::value::Value;
use jiff::civil::DateTime;
use std::rc::Rc;

/// The state of one rendering.
pub struct Interpreter<'t> {
    pub meter: Rc<Meter>,
    pub objects: Objects<'t>,
    /// The current time for `strftime_now`.
    pub now: DateTime,
    /// Whether a value may refer to a loop after its end.
    pub keeps_loops: bool,
    root: Rc<Scope<'t>>,
    out: Text,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

impl<'t> Interpreter<'t> {
    pub fn new(meter: Rc<Meter>, now: DateTime, keeps_loops: bool) -> Result<Self> {
        Ok(Self {
            objects: Objects::new(&meter)?,
            root: Scope::new(None, &meter)?,
            out: Text::new(&meter)?,
            meter,
            now,
            keeps_loops,
        })
    }

    /// Defines a variable of the template.
    pub fn define(&mut self, name: &'t str, value: Value) -> Result<()> {
        self.root.set(name, value)
    }

    /// Renders the template.
    pub fn render(mut self, body: &'t Body) -> Result<String> {
        let root = self.root.clone();
        self.run(body, &root)?;
        Ok(self.out.into_string())
    }

    fn run(&mut self, body: &'t Body, scope: &Rc<Scope<'t>>) -> Result<Flow> {
        let _level = self.meter.descend()?;
        for statement in body {
            self.meter.steps(1)?;
            let flow = self.statement(statement, scope);
            match flow.map_err(|fault| fault.at(statement.line))? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &'t Statement, scope: &Rc<Scope<'t>>) -> Result<Flow> {
        match &statement.kind {
            Kind::Data(text) => self.out.push(text)?,
            Kind::Print(value) => {
                let value = self.eval(value, scope)?;
                display::write_str(&value, &mut self.out, &self.objects)?;
            }
            Kind::For(definition) => return self.run_for(definition, scope),
            Kind::If {
                branches,
                otherwise,
            } => {
                for (condition, body) in branches {
                    if self.eval(condition, scope)?.is_true() {
                        return self.run(body, scope);
                    }
                }
                return self.run(otherwise, scope);
            }
            Kind::Set { target, value } => {
                let value = self.eval(value, scope)?;
                self.assign(target, value, scope)?;
            }
            Kind::Capture {
                target,
                filters,
                body,
            } => {
                let (text, flow) = self.capture_filtered(filters, body, scope)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                self.assign(target, text, scope)?;
            }
            Kind::Filtered { filters, body } => {
                let (text, flow) = self.capture_filtered(filters, body, scope)?;
                if flow != Flow::Next {
                    return Ok(flow);
                }
                match &text {
                    Value::Str(text) => self.out.push(text)?,
                    _ => {
                        return fail!(
                            "a filter block must result in a string, not {}",
                            text.type_name()
                        );
                    }
                }
            }
            Kind::Macro(definition) => {
                let object = Object::Macro(Macro {
                    definition,
                    scope: scope.clone(),
                });
                let value = Value::Object(self.objects.insert(object)?);
                let name = definition.name.as_deref().unwrap_or_default();
                scope.set(name, value)?;
            }
            Kind::Call(call) => {
                let value = self.call_block(call, scope)?;
                display::write_str(&value, &mut self.out, &self.objects)?;
            }
            Kind::With { bindings, body } => {
                let inner = self.inner(scope)?;
                for (target, value) in bindings {
                    let value = self.eval(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.run(body, &inner);
            }
            Kind::Scope(body) => return self.run(body, &self.inner(scope)?),
            Kind::Block { body, scoped } => {
                let around = if *scoped { scope } else { &self.root };
                return self.run(body, &self.inner(around)?);
            }
            Kind::Autoescape { on, body } => {
                if self.eval(on, scope)?.is_true() {
                    return fail!("skiplens does not escape for HTML");
                }
                return self.run(body, &self.inner(scope)?);
            }
            Kind::Break => return Ok(Flow::Break),
            Kind::Continue => return Ok(Flow::Continue),
            Kind::OtherTemplate(tag) => return Err(Fault::no_templates(tag)),
        }
        Ok(Flow::Next)
    }

    fn inner(&self, scope: &Rc<Scope<'t>>) -> Result<Rc<Scope<'t>>> {
        Scope::new(Some(scope.clone()), &self.meter)
    }

    /// The output of a body as a value.
    fn capture(&mut self, body: &'t Body, scope: &Rc<Scope<'t>>) -> Result<(Value, Flow)> {
        let around = std::mem::replace(&mut self.out, Text::new(&self.meter)?);
        let flow = self.run(body, scope);
        let text = std::mem::replace(&mut self.out, around);
        Ok((text.finish(), flow?))
    }

    fn capture_filtered(
        &mut self,
        filters: &'t [Filter],
        body: &'t Body,
        scope: &Rc<Scope<'t>>,
    ) -> Result<(Value, Flow)> {
        let (mut value, flow) = self.capture(body, &self.inner(scope)?)?;
        if flow == Flow::Next {
            for filter in filters {
                value = self.apply_filter(filter, value, scope)?;
            }
        }
        Ok((value, flow))
    }

    fn assign(&mut self, target: &'t Target, value: Value, scope: &Rc<Scope<'t>>) -> Result<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Attribute(name, attribute) => {
                let Some(Value::Object(id)) = scope.get(name)? else {
                    return fail!("{name:.40} is not a namespace, so its attributes cannot be set");
                };
                self.set_attribute(id, attribute, value)
            }
            Target::Tuple(targets) => {
                let items = self.items(&value)?;
                if items.len() != targets.len() {
                    return fail!("{} values for {} names", items.len(), targets.len());
                }
                for (target, item) in targets.iter().zip(items.iter()) {
                    self.assign(target, item.clone(), scope)?;
                }
                Ok(())
            }
        }
    }

    /// Sets an attribute of a namespace.
    pub fn set_attribute(&mut self, id: ObjectId, name: &str, value: Value) -> Result<()> {
        if name.starts_with('_') {
            return fail!("names of attributes cannot begin with an underscore");
        }
        let key = Value::str(&self.meter, name)?;
        match self.objects.get_mut(id)? {
            Object::Namespace(attributes) => attributes.insert(key, value),
            _ => fail!("only attributes of namespaces can be set"),
        }
    }
}
