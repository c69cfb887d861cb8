//! The resource limits of a template. Every operation is charged before it runs: for its time, for the memory it keeps,
//! and for its depth. No template can hang the program, exhaust memory or overflow the stack, and the same template
//! with the same input always gives the same result.

use super::fault::{Fault, Result};
use super::value::{Str, Value};
use std::cell::Cell;
use std::rc::Rc;

/// Cost of every step of evaluation, in units of about one byte read or written.
const STEP: usize = 32;
/// Overhead of an allocation in bytes.
const OVERHEAD: usize = 64;
/// Max depth of evaluation: calls of macros, blocks, brackets, and nested values.
const MAX_DEPTH: u32 = 1000;

/// The limits of one rendering.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Units of work: a step of evaluation costs 32, reading or writing a byte costs 1.
    pub work: u64,
    /// Max bytes of live values.
    pub memory: usize,
    /// Max bytes of the result.
    pub output: usize,
}

impl Limits {
    /// The limits for a conversation of this many bytes: about a second of work, far more than chat templates need.
    pub fn for_input(bytes: usize) -> Self {
        Self {
            work: (1 << 28) + 256 * bytes as u64,
            memory: (64 << 20) + 16 * bytes,
            output: (1 << 20) + 8 * bytes,
        }
    }
}

/// Tracks the resources of one rendering.
#[derive(Debug)]
pub struct Meter {
    work: Cell<u64>,
    memory: Cell<usize>,
    depth: Cell<u32>,
}

impl Meter {
    pub fn new(limits: Limits) -> Rc<Self> {
        Rc::new(Self {
            work: Cell::new(limits.work),
            memory: Cell::new(limits.memory),
            depth: Cell::new(0),
        })
    }

    /// Charges for reading or writing this many bytes.
    pub fn work(&self, units: usize) -> Result<()> {
        match self.work.get().checked_sub(units as u64) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            None => {
                // Later operations fail too, however small.
                self.work.set(0);
                Err(Fault::limit("the template takes too long"))
            }
        }
    }

    /// Charges for `count` steps of evaluation.
    pub fn steps(&self, count: usize) -> Result<()> {
        self.work(count.saturating_mul(STEP))
    }

    /// Enters a deeper level until the guard is dropped.
    pub fn descend(self: &Rc<Self>) -> Result<Descent> {
        if self.depth.get() >= MAX_DEPTH {
            return Err(Fault::limit("the template nests too deeply"));
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Descent(self.clone()))
    }
}

/// One level of depth.
#[derive(Debug)]
pub struct Descent(Rc<Meter>);

impl Drop for Descent {
    fn drop(&mut self) {
        self.0.depth.set(self.0.depth.get() - 1);
    }
}

/// Bytes used by a value, released when it is dropped.
#[derive(Debug)]
pub struct Charge {
    meter: Rc<Meter>,
    bytes: usize,
}

impl Charge {
    /// Charges for an allocation without payload.
    pub fn new(meter: &Rc<Meter>) -> Result<Self> {
        let mut charge = Self {
            meter: meter.clone(),
            bytes: 0,
        };
        charge.grow(OVERHEAD)?;
        Ok(charge)
    }

    /// Charges for further bytes, and for the work of filling them.
    pub fn grow(&mut self, bytes: usize) -> Result<()> {
        let Some(left) = self.meter.memory.get().checked_sub(bytes) else {
            return Err(Fault::limit("the template takes too much memory"));
        };
        self.meter.work(bytes)?;
        self.meter.memory.set(left);
        self.bytes += bytes;
        Ok(())
    }

    /// Releases some of the bytes.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.meter.memory.set(self.meter.memory.get() + bytes);
    }

    pub fn meter(&self) -> &Rc<Meter> {
        &self.meter
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.meter.memory.set(self.meter.memory.get() + self.bytes);
    }
}

/// A string under construction.
#[derive(Debug)]
pub struct Text {
    text: String,
    charge: Charge,
}

impl Text {
    pub fn new(meter: &Rc<Meter>) -> Result<Self> {
        Ok(Self {
            text: String::new(),
            charge: Charge::new(meter)?,
        })
    }

    pub fn push(&mut self, text: &str) -> Result<()> {
        self.charge.grow(text.len())?;
        self.text.push_str(text);
        Ok(())
    }

    pub fn push_char(&mut self, c: char) -> Result<()> {
        self.push(c.encode_utf8(&mut [0; 4]))
    }

    /// Appends a string several times.
    pub fn repeat(&mut self, text: &str, times: usize) -> Result<()> {
        self.charge.grow(text.len().saturating_mul(times))?;
        if !text.is_empty() {
            self.text.extend(std::iter::repeat_n(text, times));
        }
        Ok(())
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn meter(&self) -> Rc<Meter> {
        self.charge.meter.clone()
    }

    pub fn into_string(self) -> String {
        self.text
    }

    pub fn into_str(self) -> Rc<Str> {
        Rc::new(Str::new(self.text.into_boxed_str(), self.charge))
    }

    pub fn finish(self) -> Value {
        Value::Str(self.into_str())
    }
}
