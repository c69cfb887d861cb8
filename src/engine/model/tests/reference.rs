//! A straightforward forward pass in f64.

use super::super::rope;
use crate::engine::weights::{Checkpoint, RawTensor};
use candle_core::Device;
use candle_core::quantized::{QStorage, QTensor};

fn numbers(raw: RawTensor) -> Vec<f64> {
    let storage =
        QStorage::from_data(raw.data.into_owned().into(), &Device::Cpu, raw.dtype).unwrap();
    let tensor = QTensor::new(storage, raw.shape.as_slice())
        .unwrap()
        .dequantize(&Device::Cpu)
        .unwrap();
    tensor
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect()
}

/// A textbook Llama.
pub struct Reference<'a>(pub &'a Checkpoint);

impl Reference<'_> {
    fn tensor(&self, name: &str) -> Vec<f64> {
        let model = &*self.0.tensors;
        let source = match name.starts_with("exits.") {
            true => self.0.exits.as_ref().unwrap().tensors(model),
            false => model,
        };
        numbers(source.tensor(&format!("{name}.weight")).unwrap().unwrap())
    }

    fn plain_norm(&self, x: &[f64]) -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = (mean + self.0.config.rms_norm_eps).sqrt();
        x.iter().map(|x| x / scale).collect()
    }

    fn norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let normed = self.plain_norm(x);
        normed
            .iter()
            .zip(self.tensor(name))
            .map(|(x, w)| x * w)
            .collect()
    }

    fn multiply(&self, name: &str, x: &[f64]) -> Vec<f64> {
        self.tensor(name)
            .chunks_exact(x.len())
            .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
            .collect()
    }

    fn rotate(&self, x: &mut [f64], position: usize) {
        let frequencies = rope::frequencies(&self.0.config);
        for head in x.chunks_exact_mut(self.0.config.head_dim) {
            for (pair, frequency) in head.chunks_exact_mut(2).zip(&frequencies) {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos);
            }
        }
    }

    fn attention(&self, q: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
        let c = &self.0.config;
        let (dim, group) = (c.head_dim, c.num_heads / c.num_kv_heads);
        let mut out = vec![0.0; q.len()];
        for head in 0..c.num_heads {
            let kv = head / group * dim..(head / group + 1) * dim;
            let q = &q[head * dim..(head + 1) * dim];
            let score = |k: &Vec<f64>| {
                q.iter()
                    .zip(&k[kv.clone()])
                    .map(|(a, b)| a * b)
                    .sum::<f64>()
                    / (dim as f64).sqrt()
            };
            let weights: Vec<f64> = keys.iter().map(|k| score(k).exp()).collect();
            let total: f64 = weights.iter().sum();
            for (weight, value) in weights.iter().zip(values) {
                for (out, v) in out[head * dim..].iter_mut().zip(&value[kv.clone()]) {
                    *out += weight / total * v;
                }
            }
        }
        out
    }

    /// States of all positions after the first `layers` layers.
    fn states(&self, ids: &[u32], layers: usize) -> Vec<Vec<f64>> {
        let c = &self.0.config;
        let embedding = self.tensor("token_embd");
        let row = |id: u32| embedding[id as usize * c.hidden_size..][..c.hidden_size].to_vec();
        let mut hidden: Vec<Vec<f64>> = ids.iter().map(|&id| row(id)).collect();
        for layer in 0..layers {
            self.run(&format!("blk.{layer}"), &mut hidden);
        }
        hidden
    }

    /// One layer.
    fn run(&self, prefix: &str, hidden: &mut [Vec<f64>]) {
        let name = |name: &str| format!("{prefix}.{name}");
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (position, h) in hidden.iter_mut().enumerate() {
            let x = self.norm(h, &name("attn_norm"));
            let (mut q, mut k) = (
                self.multiply(&name("attn_q"), &x),
                self.multiply(&name("attn_k"), &x),
            );
            self.rotate(&mut q, position);
            self.rotate(&mut k, position);
            keys.push(k);
            values.push(self.multiply(&name("attn_v"), &x));
            let attended = self.attention(&q, &keys, &values);
            h.iter_mut()
                .zip(self.multiply(&name("attn_output"), &attended))
                .for_each(|(h, x)| *h += x);
            let x = self.norm(h, &name("ffn_norm"));
            let (gate, up) = (
                self.multiply(&name("ffn_gate"), &x),
                self.multiply(&name("ffn_up"), &x),
            );
            let inner: Vec<f64> = gate
                .iter()
                .zip(up)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                .collect();
            h.iter_mut()
                .zip(self.multiply(&name("ffn_down"), &inner))
                .for_each(|(h, x)| *h += x);
        }
    }

    /// Logits after the last token through the adapter of `exit`, where the states of the last layer are known of the first
    /// `verified` tokens, and those of the others are the adapter's own outputs.
    pub fn adapted(&self, ids: &[u32], exit: usize, verified: usize) -> Vec<f64> {
        let early = self.states(ids, exit);
        let mut last = self.states(ids, self.0.config.num_layers);
        last.truncate(verified);
        let mut out = Vec::new();
        for end in verified..ids.len() {
            let mut inputs = Vec::new();
            for (position, early) in early[..=end].iter().enumerate() {
                let before = position.checked_sub(1).map(|before| last[before].clone());
                let before = before.unwrap_or_else(|| vec![0.0; early.len()]);
                let both = [self.plain_norm(early), self.plain_norm(&before)].concat();
                inputs.push(self.multiply(&format!("exits.{exit}.proj"), &both));
            }
            self.run("exits.block", &mut inputs);
            out = inputs.pop().unwrap();
            last.push(out.clone());
        }
        self.head(&out)
    }

    pub fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let hidden = self.states(ids, self.0.config.num_layers);
        hidden.iter().flat_map(|h| self.head(h)).collect()
    }

    fn head(&self, h: &[f64]) -> Vec<f64> {
        let c = &self.0.config;
        let head = if c.tie_word_embeddings {
            "token_embd"
        } else {
            "output"
        };
        self.multiply(head, &self.norm(h, "output_norm"))
    }
}
