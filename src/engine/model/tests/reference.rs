//! A straightforward forward pass in f64.

use super::super::rope;
use crate::engine::weights::{BLOCK, Checkpoint, RawTensor};
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
pub struct Reference<'a> {
    checkpoint: &'a Checkpoint,
    rounds: bool,
}

impl<'a> Reference<'a> {
    /// In f64 throughout.
    pub fn exact(checkpoint: &'a Checkpoint) -> Self {
        let rounds = false;
        Self { checkpoint, rounds }
    }

    /// Rounds what the GPU back end rounds: inputs of products with quantised weights to bytes, which have a scale for every
    /// 32 columns, and keys and values to f16.
    #[cfg(feature = "gpu")]
    pub fn rounded(checkpoint: &'a Checkpoint) -> Self {
        let rounds = true;
        Self { checkpoint, rounds }
    }

    fn matrix(&self, name: &str) -> Matrix {
        let name = format!("{name}.weight");
        let model = &*self.checkpoint.tensors;
        let source = match name.starts_with("exits.") {
            true => self.checkpoint.exits.as_ref().unwrap().tensors(model),
            false => model,
        };
        let raw = source.tensor(&name).unwrap().unwrap();
        Matrix {
            rounds: self.rounds && raw.dtype.block_size() > 1,
            numbers: numbers(raw),
        }
    }

    fn plain_norm(&self, x: &[f64]) -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let root = (mean + self.checkpoint.config.rms_norm_eps).sqrt();
        x.iter().map(|x| x / root).collect()
    }

    fn norm(&self, x: &[f64], weight: &Matrix) -> Vec<f64> {
        let normed = self.plain_norm(x);
        let weights = weight.numbers.iter();
        normed.iter().zip(weights).map(|(x, w)| x * w).collect()
    }

    fn rotate(&self, x: &mut [f64], position: usize) {
        let frequencies = rope::frequencies(&self.checkpoint.config);
        for head in x.chunks_exact_mut(self.checkpoint.config.head_dim) {
            for (pair, frequency) in head.chunks_exact_mut(2).zip(&frequencies) {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos);
            }
        }
    }

    fn attention(&self, q: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
        let c = &self.checkpoint.config;
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

    fn cached(&self, mut x: Vec<f64>) -> Vec<f64> {
        if self.rounds {
            x.iter_mut()
                .for_each(|x| *x = half::f16::from_f64(*x).to_f64());
        }
        x
    }

    /// Logits after all layers, `[ids, vocabulary]`.
    pub fn logits(&self, ids: &[u32]) -> Vec<f32> {
        self.exit_logits(ids, self.checkpoint.config.num_layers)
    }

    /// Logits after `depth` layers, `[ids, vocabulary]`.
    pub fn exit_logits(&self, ids: &[u32], depth: usize) -> Vec<f32> {
        let hidden = self.states(ids, depth);
        self.head(&hidden)
    }

    /// Logits after the last token through the adapter of `exit`, where the states of the last layer are known of the first
    /// `verified` tokens, and those of the others are the adapter's own outputs.
    pub fn adapted(&self, ids: &[u32], exit: usize, verified: usize) -> Vec<f32> {
        let early = self.states(ids, exit);
        let mut last = self.states(ids, self.checkpoint.config.num_layers);
        last.truncate(verified);
        let used = self.checkpoint.exits.as_ref().unwrap().adapter_of[exit].unwrap();
        let projection = self.matrix(&format!("exits.{used}.proj"));
        let mut out = Vec::new();
        for end in verified..ids.len() {
            let mut inputs = Vec::new();
            for (position, early) in early[..=end].iter().enumerate() {
                let before = position.checked_sub(1).map(|before| last[before].clone());
                let before = before.unwrap_or_else(|| vec![0.0; early.len()]);
                let both = [self.plain_norm(early), self.plain_norm(&before)].concat();
                inputs.push(projection.multiply(&both));
            }
            self.run(BLOCK, &mut inputs);
            out = inputs.split_off(end);
            last.extend_from_slice(&out);
        }
        self.head(&out)
    }

    /// States of all positions after the first `depth` layers.
    fn states(&self, ids: &[u32], depth: usize) -> Vec<Vec<f64>> {
        let c = &self.checkpoint.config;
        let embedding = self.matrix("token_embd");
        let row =
            |id: u32| embedding.numbers[id as usize * c.hidden_size..][..c.hidden_size].to_vec();
        let mut hidden: Vec<Vec<f64>> = ids.iter().map(|&id| row(id)).collect();
        for layer in 0..depth {
            self.run(&format!("blk.{layer}"), &mut hidden);
        }
        hidden
    }

    /// One layer.
    fn run(&self, prefix: &str, hidden: &mut [Vec<f64>]) {
        let matrix = |name: &str| self.matrix(&format!("{prefix}.{name}"));
        let [attn_norm, q, k, v, attn_output] =
            ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"].map(matrix);
        let [ffn_norm, gate, up, down] = ["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"].map(matrix);
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (position, h) in hidden.iter_mut().enumerate() {
            let x = self.norm(h, &attn_norm);
            let (mut q, mut k) = (q.multiply(&x), k.multiply(&x));
            self.rotate(&mut q, position);
            self.rotate(&mut k, position);
            keys.push(self.cached(k));
            values.push(self.cached(v.multiply(&x)));
            let attended = self.attention(&q, &keys, &values);
            let add = |h: &mut [f64], x: Vec<f64>| h.iter_mut().zip(x).for_each(|(h, x)| *h += x);
            add(h, attn_output.multiply(&attended));
            let x = self.norm(h, &ffn_norm);
            let (gate, up) = (gate.multiply(&x), up.multiply(&x));
            let inner: Vec<f64> = gate
                .iter()
                .zip(up)
                .map(|(g, u)| g / (1.0 + (-g).exp()) * u)
                .collect();
            add(h, down.multiply(&inner));
        }
    }

    fn head(&self, hidden: &[Vec<f64>]) -> Vec<f32> {
        let head = match self.checkpoint.config.tie_word_embeddings {
            true => self.matrix("token_embd"),
            false => self.matrix("output"),
        };
        let norm = self.matrix("output_norm");
        let logits = hidden
            .iter()
            .flat_map(|h| head.multiply(&self.norm(h, &norm)));
        logits.map(|x| x as f32).collect()
    }
}

/// Weights in row-major order.
struct Matrix {
    numbers: Vec<f64>,
    /// Whether the other factor is rounded to bytes.
    rounds: bool,
}

impl Matrix {
    fn multiply(&self, x: &[f64]) -> Vec<f64> {
        let mut x = x.to_vec();
        if self.rounds {
            for block in x.chunks_mut(32) {
                let max = block.iter().fold(0.0, |max: f64, x| max.max(x.abs()));
                let step = if max > 0.0 { max / 127.0 } else { 1.0 };
                block
                    .iter_mut()
                    .for_each(|x| *x = (*x / step).round() * step);
            }
        }
        let dot = |row: &[f64]| row.iter().zip(&x).map(|(w, x)| w * x).sum();
        self.numbers.chunks_exact(x.len()).map(dot).collect()
    }
}
