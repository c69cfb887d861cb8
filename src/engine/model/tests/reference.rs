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
        numbers(
            self.0
                .tensors
                .tensor(&format!("{name}.weight"))
                .unwrap()
                .unwrap(),
        )
    }

    fn norm(&self, x: &[f64], name: &str) -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let weight = self.tensor(name);
        x.iter()
            .zip(weight)
            .map(|(x, w)| x / (mean + self.0.config.rms_norm_eps).sqrt() * w)
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

    pub fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let c = &self.0.config;
        let embedding = self.tensor("token_embd");
        let row = |id: u32| embedding[id as usize * c.hidden_size..][..c.hidden_size].to_vec();
        let mut hidden: Vec<Vec<f64>> = ids.iter().map(|&id| row(id)).collect();
        for layer in 0..c.num_layers {
            let name = |name: &str| format!("blk.{layer}.{name}");
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
        let head = if c.tie_word_embeddings {
            "token_embd"
        } else {
            "output"
        };
        hidden
            .iter()
            .flat_map(|h| self.multiply(head, &self.norm(h, "output_norm")))
            .collect()
    }
}
