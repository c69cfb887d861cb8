//! `for` and `loop`.

use super::super::arguments::Args;
use super::super::ast::For;
use super::super::fault::{Result, fail};
use super::super::objects::{Loop, Object, ObjectId, Scope};
use super::super::value::Value;
use super::{Flow, Interpreter};
use std::collections::VecDeque;
use std::rc::Rc;

/// The methods of `loop`.
const METHODS: [&str; 2] = ["cycle", "changed"];

impl<'t> Interpreter<'t> {
    pub(super) fn run_for(&mut self, definition: &'t For, scope: &Rc<Scope<'t>>) -> Result<Flow> {
        let items = self.eval(&definition.items, scope)?;
        self.run_loop(definition, scope.clone(), &items, 0)
    }

    /// Runs a loop over these values. A `break` ends only the innermost loop.
    fn run_loop(
        &mut self,
        definition: &'t For,
        scope: Rc<Scope<'t>>,
        items: &Value,
        depth0: i64,
    ) -> Result<Flow> {
        let items = self.items(items)?;
        let id = self.objects.insert(Object::Loop(Loop {
            definition,
            scope: scope.clone(),
            items,
            at: 0,
            ahead: VecDeque::new(),
            index0: -1,
            previous: None,
            current: None,
            last_changed: None,
            depth0,
        }))?;
        let mut ran = false;
        while let Some(item) = self.next_item(id)? {
            ran = true;
            let inner = self.inner(&scope)?;
            inner.set("loop", Value::Object(id))?;
            self.assign(&definition.target, item, &inner)?;
            if self.run(&definition.body, &inner)? == Flow::Break {
                break;
            }
        }
        if !self.keeps_loops {
            self.objects.release(id);
        }
        match ran {
            true => Ok(Flow::Next),
            false => self.run(&definition.otherwise, &self.inner(&scope)?),
        }
    }

    /// Advances the loop to its next item.
    fn next_item(&mut self, id: ObjectId) -> Result<Option<Value>> {
        self.look_ahead(id, 1)?;
        let state = self.objects.loop_mut(id)?;
        let next = state.ahead.pop_front();
        if next.is_some() {
            state.index0 += 1;
            state.previous = std::mem::replace(&mut state.current, next.clone());
        }
        Ok(next)
    }

    /// Looks ahead for `count` items that meet the condition of the loop.
    fn look_ahead(&mut self, id: ObjectId, count: usize) -> Result<()> {
        loop {
            self.meter.steps(1)?;
            let state = self.objects.loop_mut(id)?;
            if state.ahead.len() >= count {
                return Ok(());
            }
            let Some(item) = state.items.get(state.at).cloned() else {
                return Ok(());
            };
            state.at += 1;
            let (definition, scope) = (state.definition, state.scope.clone());
            let takes = match &definition.condition {
                None => true,
                Some(condition) => {
                    let inner = self.inner(&scope)?;
                    self.assign(&definition.target, item.clone(), &inner)?;
                    self.eval(condition, &inner)?.is_true()
                }
            };
            if takes {
                self.objects.loop_mut(id)?.ahead.push_back(item);
            }
        }
    }

    /// An attribute of `loop`.
    pub(super) fn loop_attribute(&mut self, id: ObjectId, name: &str) -> Result<Value> {
        if let Some(method) = METHODS.into_iter().find(|method| *method == name) {
            return Value::method(&self.meter, &Value::Object(id), method);
        }
        match name {
            "last" | "nextitem" => self.look_ahead(id, 1)?,
            "length" | "revindex" | "revindex0" => self.look_ahead(id, usize::MAX)?,
            _ => {}
        }
        let state = self.objects.loop_mut(id)?;
        let index = state.index0 + 1;
        let length = index + state.ahead.len() as i64;
        let item = match name {
            "index" => return Ok(Value::Int(index)),
            "index0" => return Ok(Value::Int(state.index0)),
            "first" => return Ok(Value::Bool(state.index0 == 0)),
            "last" => return Ok(Value::Bool(state.ahead.is_empty())),
            "length" => return Ok(Value::Int(length)),
            "revindex" => return Ok(Value::Int(length - state.index0)),
            "revindex0" => return Ok(Value::Int(length - index)),
            "depth" => return Ok(Value::Int(state.depth0 + 1)),
            "depth0" => return Ok(Value::Int(state.depth0)),
            "previtem" => state.previous.clone(),
            "nextitem" => state.ahead.front().cloned(),
            _ => None,
        };
        match item {
            Some(item) => Ok(item),
            None => Value::undefined(&self.meter, name),
        }
    }

    /// `loop.cycle` and `loop.changed`.
    pub(super) fn loop_method(&mut self, id: ObjectId, name: &str, args: Args) -> Result<Value> {
        if !args.named.is_empty() {
            return fail!("loop.{name} takes no named arguments");
        }
        if name == "changed" {
            let value = Value::tuple(&self.meter, args.positional)?;
            let last = self
                .objects
                .loop_mut(id)?
                .last_changed
                .replace(value.clone());
            return Ok(Value::Bool(match last {
                Some(last) => !last.equals(&value, &self.meter)?,
                None => true,
            }));
        }
        let index = self.objects.loop_mut(id)?.index0.max(0) as usize;
        match args.positional.len() {
            0 => fail!("loop.cycle needs something to cycle through"),
            count => Ok(args.positional[index % count].clone()),
        }
    }

    /// `loop(items)` in a recursive loop: the output of the loop for these items.
    pub(super) fn call_loop(&mut self, id: ObjectId, args: Args) -> Result<Value> {
        let [items] = args.bind("loop", ["iterable"])?;
        let state = self.objects.loop_mut(id)?;
        let (definition, scope, depth0) = (state.definition, state.scope.clone(), state.depth0 + 1);
        if !definition.recursive {
            return fail!("only a loop marked as recursive can be called");
        }
        let items = super::super::arguments::required(items, "iterable")?;
        self.captured(|this| this.run_loop(definition, scope, &items, depth0).map(drop))
    }
}
