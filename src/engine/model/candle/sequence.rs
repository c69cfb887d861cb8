//! One text as candle tensors.

use super::{Layer, Weights};
use crate::engine::model::{Ancestors, Readout, Row, Sequence, check_rows, refusals};
use crate::engine::{Error, Result};
use candle_core::{D, DType, Device, Tensor};
use candle_nn::{ops, rotary_emb};
use std::sync::Arc;

/// Number of slots by which the key and value tensors grow.
const GROWTH: usize = 1024;

/// Keys and values by layer, and the states of rows in flight.
pub struct CandleSequence {
    weights: Arc<Weights>,
    capacity: usize,
    /// Number of kept positions; rows in flight occupy the slots from here.
    len: usize,
    /// Keys and values of each layer, `[kv_heads, slots, head_dim]`; `None` before the first write.
    cache: Vec<Option<[Tensor; 2]>>,
    /// States of rows in flight, indexed by `slot - len`.
    flight: Vec<Option<State>>,
    probe: Option<usize>,
}

/// The state of a row in flight, `[1, hidden]`.
#[derive(Clone)]
struct State {
    depth: usize,
    hidden: Tensor,
    /// The state at the probed layer.
    probed: Option<Tensor>,
}

/// Data shared by the layers of a pass.
struct Pass {
    slots: Vec<usize>,
    /// cos and sin, `[n, head_dim / 2]`.
    rotation: [Tensor; 2],
    /// `[1, n, slots]`, −∞ for slots that a row must not attend to.
    mask: Tensor,
    /// Number of slots up to the last one that a row attends to.
    total: usize,
}

impl CandleSequence {
    pub fn new(weights: Arc<Weights>, capacity: usize) -> Result<Self> {
        if capacity == 0 {
            return Err(refusals::no_capacity());
        }
        Ok(Self {
            capacity: capacity.min(weights.config.context_length),
            cache: vec![None; weights.config.num_layers],
            weights,
            len: 0,
            flight: Vec::new(),
            probe: None,
        })
    }

    fn device(&self) -> &Device {
        &self.weights.device
    }

    fn state(&self, slot: usize) -> Result<&State> {
        let at = slot.checked_sub(self.len);
        at.and_then(|at| self.flight.get(at)?.as_ref())
            .ok_or_else(|| refusals::no_state(slot))
    }

    /// Embeds the rows that have run no layer.
    fn enter(&mut self, rows: &[Row]) -> Result<()> {
        for row in rows {
            let at = row.slot - self.len;
            if self.flight.len() <= at {
                self.flight.resize(at + 1, None);
            }
            if row.depth == 0 {
                self.flight[at] = Some(State {
                    depth: 0,
                    hidden: self.weights.embed(&[row.token])?,
                    probed: None,
                });
            } else if self.state(row.slot)?.depth != row.depth {
                return Err(refusals::no_state_at(row.slot, row.depth));
            }
        }
        Ok(())
    }

    /// Runs the layers `from..to` over rows.
    fn segment(&mut self, rows: &[&Row], from: usize, to: usize) -> Result<()> {
        let pass = self.pass(rows)?;
        let states = rows
            .iter()
            .map(|row| Ok(self.state(row.slot)?.hidden.clone()));
        let mut hidden = Tensor::cat(&states.collect::<Result<Vec<_>>>()?, 0)?;
        let weights = self.weights.clone();
        for (layer, cache) in weights.layers[from..to]
            .iter()
            .zip(&mut self.cache[from..to])
        {
            let x = weights.norm(&hidden, &layer.attn_norm)?;
            let attended = attention(&weights, layer, &x, &pass, cache)?;
            hidden = (hidden + layer.attn_output.multiply(&attended)?)?;
            let x = weights.norm(&hidden, &layer.ffn_norm)?;
            let inner = (layer.gate.multiply(&x)?.silu()? * layer.up.multiply(&x)?)?;
            hidden = (hidden + layer.down.multiply(&inner)?)?;
        }
        for (i, row) in rows.iter().enumerate() {
            let hidden = hidden.narrow(0, i, 1)?;
            if let Some(state) = &mut self.flight[row.slot - self.len] {
                if self.probe == Some(to) {
                    state.probed = Some(hidden.clone());
                }
                (state.hidden, state.depth) = (hidden, to);
            }
        }
        Ok(())
    }

    fn pass(&self, rows: &[&Row]) -> Result<Pass> {
        let positions: Vec<f32> = rows.iter().map(|row| row.position as f32).collect();
        let positions = Tensor::from_vec(positions, (rows.len(), 1), self.device())?;
        let angles = positions.broadcast_mul(&self.weights.frequencies)?;
        let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
        let total = slots.iter().max().map_or(0, |slot| slot + 1);
        let looks = |row: &Row, slot: usize| match row.ancestors {
            Ancestors::Chain => slot <= row.slot,
            Ancestors::Tree(mask) => {
                slot < self.len
                    || slot == row.slot
                    || (slot - self.len < Ancestors::MAX_NODES
                        && mask >> (slot - self.len) & 1 == 1)
            }
        };
        let mask = rows
            .iter()
            .flat_map(|row| (0..total).map(move |slot| (row, slot)))
            .map(|(row, slot)| {
                if looks(row, slot) {
                    0.0
                } else {
                    f32::NEG_INFINITY
                }
            })
            .collect::<Vec<f32>>();
        Ok(Pass {
            rotation: [angles.cos()?, angles.sin()?],
            mask: Tensor::from_vec(mask, (1, rows.len(), total), self.device())?,
            slots,
            total,
        })
    }
}

impl Sequence for CandleSequence {
    fn len(&self) -> usize {
        self.len
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn memory(&self) -> u64 {
        let tensors = self.cache.iter().flatten().flatten();
        tensors
            .map(|tensor| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64)
            .sum()
    }

    fn forward(&mut self, rows: &[Row], to: usize) -> Result<()> {
        check_rows(rows, to, &self.weights.config, self.len, self.capacity)?;
        self.enter(rows)?;
        let mut from = rows.iter().map(|row| row.depth).min().unwrap_or(to);
        while from < to {
            let joins = rows.iter().map(|row| row.depth).chain(self.probe);
            let next = joins.filter(|&at| at > from).min().unwrap_or(to).min(to);
            let active: Vec<&Row> = rows.iter().filter(|row| row.depth <= from).collect();
            self.segment(&active, from, next)?;
            from = next;
        }
        Ok(())
    }

    fn logits(&mut self, readout: &Readout, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        if readout.slots.is_empty() {
            return Ok(());
        }
        let states = readout.slots.iter().map(|&slot| {
            let state = self.state(slot)?;
            let hidden = match readout.probed {
                true => state.probed.as_ref(),
                false => Some(&state.hidden).filter(|_| state.depth == readout.depth),
            };
            hidden.cloned().ok_or_else(|| refusals::no_state(slot))
        });
        let hidden = Tensor::cat(&states.collect::<Result<Vec<_>>>()?, 0)?;
        let logits = self.weights.head(&hidden, readout.vocab)?;
        out.extend(logits.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    fn keep(&mut self, path: &[usize]) -> Result<()> {
        if !path.is_sorted_by(|a, b| a < b) {
            return Err(refusals::not_ascending());
        }
        let kept = path.iter().map(|&slot| Ok(Some(self.state(slot)?.clone())));
        let kept = kept.collect::<Result<Vec<_>>>()?;
        for (to, &slot) in path.iter().enumerate() {
            let to = self.len + to;
            for tensor in self.cache.iter().flatten().flatten() {
                if slot != to && slot < tensor.dims()[1] {
                    let moved = tensor.narrow(1, slot, 1)?.contiguous()?.copy()?;
                    tensor.slice_set(&moved, 1, to)?;
                }
            }
        }
        self.flight = kept;
        Ok(())
    }

    fn truncate(&mut self, len: usize) {
        let in_flight = self.flight.iter().take_while(|state| state.is_some());
        self.len = len.min(self.len + in_flight.count());
        self.flight.clear();
    }

    fn probe(&mut self, layer: Option<usize>) {
        self.probe = layer;
    }
}

/// Writes keys and values of `x`, `[n, hidden]`, to the cache, and computes attention over it: `[n, heads * head_dim]`.
fn attention(
    weights: &Weights,
    layer: &Layer,
    x: &Tensor,
    pass: &Pass,
    cache: &mut Option<[Tensor; 2]>,
) -> Result<Tensor> {
    let config = &weights.config;
    let (heads, kv_heads, dim) = (config.num_heads, config.num_kv_heads, config.head_dim);
    let n = x.dim(0)?;
    let split = |x: Tensor, heads| x.reshape((1, n, heads, dim))?.transpose(1, 2)?.contiguous();
    let [cos, sin] = &pass.rotation;
    let q = rotary_emb::rope_i(&split(layer.q.multiply(x)?, heads)?, cos, sin)?;
    let k = rotary_emb::rope_i(&split(layer.k.multiply(x)?, kv_heads)?, cos, sin)?;
    let v = split(layer.v.multiply(x)?, kv_heads)?;
    let new = [k.squeeze(0)?, v.squeeze(0)?];
    let [keys, values] = write(cache, new, pass, &weights.device)?;
    let q = (q.reshape((kv_heads, heads / kv_heads * n, dim))? * (1.0 / (dim as f64).sqrt()))?;
    let scores = q.matmul(&keys.transpose(1, 2)?)?;
    let scores = scores
        .reshape((heads, n, pass.total))?
        .broadcast_add(&pass.mask)?
        .reshape((kv_heads, (), pass.total))?;
    let out = ops::softmax(&scores, D::Minus1)?.matmul(&values)?;
    Ok(out
        .reshape((heads, n, dim))?
        .transpose(0, 1)?
        .reshape((n, heads * dim))?)
}

/// Writes keys and values `[kv_heads, n, head_dim]` to their slots, and returns all slots up to the last one in use.
fn write(
    cache: &mut Option<[Tensor; 2]>,
    new: [Tensor; 2],
    pass: &Pass,
    device: &Device,
) -> Result<[Tensor; 2]> {
    let (kv_heads, _, dim) = new[0].dims3()?;
    let have = cache.as_ref().map_or(0, |[keys, _]| keys.dims()[1]);
    if pass.total > have {
        let room = pass.total.next_multiple_of(GROWTH) - have;
        let empty = Tensor::zeros((kv_heads, room, dim), DType::F32, device)?;
        *cache = Some(match cache.take() {
            None => [empty.clone(), empty.copy()?],
            Some([keys, values]) => [
                Tensor::cat(&[&keys, &empty], 1)?,
                Tensor::cat(&[&values, &empty], 1)?,
            ],
        });
    }
    let Some(all) = cache else {
        return Err(Error::Setting("the KV cache is full".into()));
    };
    let consecutive = pass.slots.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    for (all, new) in all.iter().zip(&new) {
        if consecutive {
            all.slice_set(&new.contiguous()?, 1, pass.slots[0])?;
            continue;
        }
        for (i, &slot) in pass.slots.iter().enumerate() {
            all.slice_set(&new.narrow(1, i, 1)?.contiguous()?, 1, slot)?;
        }
    }
    Ok([
        all[0].narrow(1, 0, pass.total)?,
        all[1].narrow(1, 0, pass.total)?,
    ])
}
