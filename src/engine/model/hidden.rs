//! Hidden states on their way from stage to stage.

use crate::engine::{Error, Result};
use candle_core::Tensor;
use std::ops::Range;

/// Hidden states of tokens, `[rows, hidden]`, kept where their model computes. On the CPU they are a plain buffer, and
/// one that is used again allocates nothing.
#[derive(Default)]
pub struct Hidden {
    rows: usize,
    pub(super) states: States,
}

/// Where they are.
pub(super) enum States {
    /// For the CPU kernels, row by row.
    Rows(Vec<f32>),
    /// On a device of candle, `[n, hidden]` each, one after the other.
    Tensors(Vec<Tensor>),
}

impl Default for States {
    fn default() -> Self {
        Self::Rows(Vec::new())
    }
}

impl Hidden {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Forgets all rows; memory is kept.
    pub fn clear(&mut self) {
        self.rows = 0;
        match &mut self.states {
            States::Rows(rows) => rows.clear(),
            States::Tensors(tensors) => tensors.clear(),
        }
    }

    /// Copies the rows of `other` behind these. Fails where they are of different models.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        if self.is_empty() {
            self.take_kind_of(other);
        } else if !other.is_empty() && self.width()? != other.width()? {
            return Err(Error::Setting(
                "hidden states of two models do not go together".into(),
            ));
        }
        match (&mut self.states, &other.states) {
            (States::Rows(rows), States::Rows(more)) => rows.extend_from_slice(more),
            (States::Tensors(tensors), States::Tensors(more)) => tensors.extend_from_slice(more),
            _ => return Err(elsewhere()),
        }
        self.rows += other.rows;
        Ok(())
    }

    /// Forgets all rows but these. Panics where they are not there.
    pub fn keep(&mut self, rows: Range<usize>) -> Result<()> {
        let width = self.width()?;
        match &mut self.states {
            States::Rows(all) => {
                all.copy_within(rows.start * width..rows.end * width, 0);
                all.truncate(rows.len() * width);
            }
            States::Tensors(_) => {
                let kept = self.tensor()?.narrow(0, rows.start, rows.len())?;
                self.set_tensor(kept)?;
            }
        }
        self.rows = rows.len();
        Ok(())
    }

    /// Elements of a row; 0 where there is none.
    pub(super) fn width(&self) -> Result<usize> {
        Ok(match &self.states {
            States::Rows(rows) => rows.len() / self.rows.max(1),
            States::Tensors(tensors) => tensors.first().map_or(Ok(0), |tensor| tensor.dim(1))?,
        })
    }

    /// The buffer of the CPU kernels, made to hold `rows` rows of `width`; what they were is lost.
    pub(super) fn buffer(&mut self, rows: usize, width: usize) -> &mut [f32] {
        self.rows = rows;
        if let States::Tensors(_) = self.states {
            self.states = States::default();
        }
        let States::Rows(buffer) = &mut self.states else {
            unreachable!("they were made rows above")
        };
        buffer.resize(rows * width, 0.0);
        buffer
    }

    /// All rows in one tensor.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        match &self.states {
            States::Tensors(tensors) if tensors.len() == 1 => Ok(tensors[0].clone()),
            States::Tensors(tensors) if tensors.len() > 1 => Ok(Tensor::cat(tensors, 0)?),
            _ => Err(elsewhere()),
        }
    }

    pub(super) fn set_tensor(&mut self, tensor: Tensor) -> Result<()> {
        self.rows = tensor.dim(0)?;
        self.states = States::Tensors(vec![tensor]);
        Ok(())
    }

    fn take_kind_of(&mut self, other: &Self) {
        match (&self.states, &other.states) {
            (States::Rows(_), States::Tensors(_)) => self.states = States::Tensors(Vec::new()),
            (States::Tensors(_), States::Rows(_)) => self.states = States::default(),
            _ => {}
        }
    }
}

pub(super) fn elsewhere() -> Error {
    Error::Setting("model, hidden states and cache are not on one device".into())
}
