//! Mutable objects. They live in one table until the rendering ends, and values refer to them by index, so that reference
//! cycles cannot leak.

use super::ast;
use super::fault::{Fault, Result, fail};
use super::meter::{Charge, Meter};
use super::value::{Dict, Seq, Value};
use std::cell::RefCell;
use std::rc::Rc;

/// Index of an object in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectId(usize);

/// All objects of one rendering.
#[derive(Debug)]
pub struct Objects<'t> {
    objects: Vec<Object<'t>>,
    charge: Charge,
}

/// A mutable object.
#[derive(Debug)]
pub enum Object<'t> {
    Namespace(Dict),
    Macro(Macro<'t>),
    Loop(Loop<'t>),
    Generator(Generator),
    Cycler { items: Rc<Seq>, at: usize },
    Joiner { separator: Value, used: bool },
}

/// A macro and its enclosing variables.
#[derive(Debug, Clone)]
pub struct Macro<'t> {
    pub definition: &'t ast::Macro,
    pub scope: Rc<Scope<'t>>,
}

/// Values that can be iterated over once.
#[derive(Debug)]
pub struct Generator {
    pub items: Rc<Seq>,
    pub at: usize,
    /// The error after the last item. As in Python, it is raised only when iteration reaches it.
    pub fault: Option<Fault>,
}

/// A running loop. The condition of the loop is evaluated as late as in Jinja, because the body may change its result.
#[derive(Debug)]
pub struct Loop<'t> {
    pub definition: &'t ast::For,
    /// The variables around the loop.
    pub scope: Rc<Scope<'t>>,
    pub items: Rc<Seq>,
    /// Number of items examined so far.
    pub at: usize,
    /// Items that meet the condition but have not been reached.
    pub ahead: std::collections::VecDeque<Value>,
    pub index0: i64,
    pub previous: Option<Value>,
    pub current: Option<Value>,
    pub last_changed: Option<Value>,
    pub depth0: i64,
}

impl<'t> Objects<'t> {
    pub fn new(meter: &Rc<Meter>) -> Result<Self> {
        Ok(Self {
            objects: Vec::new(),
            charge: Charge::new(meter)?,
        })
    }

    pub fn insert(&mut self, object: Object<'t>) -> Result<ObjectId> {
        self.charge.grow(size_of::<Object<'t>>())?;
        self.objects.push(object);
        Ok(ObjectId(self.objects.len() - 1))
    }

    /// Removes an object if it is the last in the table. A value that still refers to it finds no object, or another
    /// one.
    pub fn release(&mut self, id: ObjectId) {
        if id.0 + 1 == self.objects.len() {
            self.objects.pop();
            self.charge.shrink(size_of::<Object<'t>>());
        }
    }

    pub fn get(&self, id: ObjectId) -> Result<&Object<'t>> {
        match self.objects.get(id.0) {
            Some(object) => Ok(object),
            None => fail!("this loop is over"),
        }
    }

    pub fn get_mut(&mut self, id: ObjectId) -> Result<&mut Object<'t>> {
        match self.objects.get_mut(id.0) {
            Some(object) => Ok(object),
            None => fail!("this loop is over"),
        }
    }

    pub fn loop_mut(&mut self, id: ObjectId) -> Result<&mut Loop<'t>> {
        match self.get_mut(id)? {
            Object::Loop(state) => Ok(state),
            _ => fail!("this loop is over"),
        }
    }
}

/// Variables of a block and its enclosing blocks. Scopes nest only as deeply as the source, so dropping them cannot
/// overflow the stack.
#[derive(Debug)]
pub struct Scope<'t> {
    parent: Option<Rc<Scope<'t>>>,
    variables: RefCell<Vec<(&'t str, Value)>>,
    charge: RefCell<Charge>,
}

impl<'t> Scope<'t> {
    pub fn new(parent: Option<Rc<Self>>, meter: &Rc<Meter>) -> Result<Rc<Self>> {
        meter.steps(2)?;
        let mut charge = Charge::new(meter)?;
        charge.grow(size_of::<Self>())?;
        Ok(Rc::new(Self {
            parent,
            variables: RefCell::new(Vec::new()),
            charge: RefCell::new(charge),
        }))
    }

    pub fn set(&self, name: &'t str, value: Value) -> Result<()> {
        let mut variables = self.variables.borrow_mut();
        let mut charge = self.charge.borrow_mut();
        charge.meter().work(name.len() + variables.len())?;
        match variables.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => {
                charge.grow(size_of::<(&str, Value)>())?;
                variables.push((name, value));
            }
        }
        Ok(())
    }

    pub fn get(&self, name: &str) -> Result<Option<Value>> {
        let mut scope = self;
        loop {
            let variables = scope.variables.borrow();
            scope
                .charge
                .borrow()
                .meter()
                .work(name.len() + variables.len())?;
            if let Some((_, value)) = variables.iter().find(|(other, _)| *other == name) {
                return Ok(Some(value.clone()));
            }
            match &scope.parent {
                Some(parent) => scope = parent,
                None => return Ok(None),
            }
        }
    }
}
