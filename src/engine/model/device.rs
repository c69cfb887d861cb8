//! The forward pass in candle's tensors, for CUDA and Metal. Any device of candle can run it, so that tests on the CPU
//! say that it is right.

use super::{load, rope};
use crate::engine::config::LlamaConfig;
use crate::engine::weights::{Checkpoint, TensorSource};
use crate::engine::{Error, Result};
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::{ops, rotary_emb};
use std::ops::Range;
use std::sync::Arc;

/// Positions by which the tensors of a cache grow.
const GROWTH: usize = 1024;

/// Of each layer, keys and values `[kv_heads, positions, head_dim]`; none before the first write.
pub type CacheTensors = Vec<Option<[Tensor; 2]>>;

/// A matrix `[rows, cols]` on the device.
enum Matrix {
    Dense(Tensor),
    Quantised(QMatMul),
}

impl Matrix {
    fn load(
        source: &dyn TensorSource,
        name: &str,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<(Self, Kind)> {
        let raw = load::raw(source, name, &shape)?;
        let kind = Kind {
            dtype: raw.dtype,
            weights: shape[0] * shape[1],
            bytes: raw.data.len() as u64,
        };
        let block = raw.dtype.block_size();
        let bytes = (shape[1] / block)
            .checked_mul(raw.dtype.type_size())
            .and_then(|row| row.checked_mul(shape[0]));
        if !shape[1].is_multiple_of(block) || bytes != Some(raw.data.len()) {
            return Err(Error::Model(format!(
                "{name}: {} bytes do not make {shape:?} of {:?}",
                raw.data.len(),
                raw.dtype
            )));
        }
        let dense = match raw.dtype {
            GgmlDType::F32 => Some(DType::F32),
            GgmlDType::F16 => Some(DType::F16),
            GgmlDType::BF16 => Some(DType::BF16),
            _ => None,
        };
        let matrix = match dense {
            Some(dtype) => Self::Dense(Tensor::from_raw_buffer(&raw.data, dtype, &shape, device)?),
            None => {
                let storage = QStorage::from_data(raw.data, device, raw.dtype)?;
                Self::Quantised(QMatMul::from_arc(Arc::new(QTensor::new(
                    storage,
                    &shape[..],
                )?))?)
            }
        };
        Ok((matrix, kind))
    }

    /// `[n, cols]` → `[n, rows]`, f32.
    fn multiply(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Dense(w) => x
                .to_dtype(w.dtype())?
                .matmul(&w.t()?)?
                .to_dtype(DType::F32)?,
            Self::Quantised(w) => w.forward(x)?,
        })
    }

    /// All of it as numbers that rows can be taken from.
    fn table(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Dense(w) => w.clone(),
            Self::Quantised(w) => w.dequantize_f16()?,
        })
    }
}

/// Type and size of a matrix.
#[derive(Clone, Copy)]
pub struct Kind {
    pub dtype: GgmlDType,
    pub weights: usize,
    pub bytes: u64,
}

/// Weights of one layer.
struct Layer {
    attn_norm: Tensor,
    q: Matrix,
    k: Matrix,
    v: Matrix,
    attn_output: Matrix,
    ffn_norm: Tensor,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// A Llama on a device of candle.
pub struct DeviceLlama {
    config: LlamaConfig,
    pub device: Device,
    frequencies: Tensor,
    /// `[vocab, hidden]`
    embedding: Tensor,
    layers: Vec<Layer>,
    output_norm: Tensor,
    output: Matrix,
    pub kinds: Vec<Kind>,
}

impl DeviceLlama {
    pub fn load(
        checkpoint: &Checkpoint,
        device: &Device,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let table = [config.vocab_size, config.hidden_size];
        let mut kinds = Vec::new();
        let (tokens, kind) = Matrix::load(source, "token_embd.weight", table, device)?;
        kinds.push(kind);
        let embedding = tokens.table()?;
        let mut layers = Vec::new();
        for i in 0..config.num_layers {
            progress((i as f32 + 1.0) / (config.num_layers as f32 + 1.0));
            layers.push(Layer::load(checkpoint, i, device, &mut kinds)?);
        }
        let output = if config.tie_word_embeddings {
            tokens
        } else {
            let (output, kind) = Matrix::load(source, "output.weight", table, device)?;
            kinds.push(kind);
            output
        };
        let output_norm = vector(source, "output_norm.weight", config.hidden_size, device)?;
        let frequencies: Vec<f32> = rope::frequencies(config)
            .into_iter()
            .map(|f| f as f32)
            .collect();
        let frequencies = Tensor::from_vec(frequencies, (1, config.head_dim / 2), device)?;
        progress(1.0);
        let (config, device) = (config.clone(), device.clone());
        Ok(Self {
            config,
            device,
            frequencies,
            embedding,
            layers,
            output_norm,
            output,
            kinds,
        })
    }

    pub fn cache(&self) -> CacheTensors {
        vec![None; self.config.num_layers]
    }

    /// `[n, hidden]`, f32.
    pub fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, &self.device)?;
        Ok(self.embedding.index_select(&ids, 0)?.to_dtype(DType::F32)?)
    }

    /// Layers `range` over `hidden`, `[n, hidden]`, whose rows stand at `start..start + n`.
    pub fn layers(
        &self,
        range: Range<usize>,
        hidden: &Tensor,
        start: usize,
        cache: &mut CacheTensors,
    ) -> Result<Tensor> {
        let n = hidden.dim(0)?;
        let positions =
            Tensor::arange(start as u32, (start + n) as u32, &self.device)?.to_dtype(DType::F32)?;
        let angles = positions
            .reshape((n, 1))?
            .broadcast_mul(&self.frequencies)?;
        let rotation = [angles.cos()?, angles.sin()?];
        let mask = self.mask(n, start)?;
        let mut hidden = hidden.clone();
        for (layer, cache) in self.layers[range.clone()].iter().zip(&mut cache[range]) {
            let x = self.norm(&hidden, &layer.attn_norm)?;
            let attended = self.attention(layer, &x, start, &rotation, mask.as_ref(), cache)?;
            hidden = (hidden + layer.attn_output.multiply(&attended)?)?;
            let x = self.norm(&hidden, &layer.ffn_norm)?;
            let inner = (layer.gate.multiply(&x)?.silu()? * layer.up.multiply(&x)?)?;
            hidden = (hidden + layer.down.multiply(&inner)?)?;
        }
        Ok(hidden)
    }

    /// Logits of the whole vocabulary, `[n, vocab]`.
    pub fn head(&self, hidden: &Tensor) -> Result<Tensor> {
        self.output.multiply(&self.norm(hidden, &self.output_norm)?)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(ops::rms_norm(
            &x.contiguous()?,
            weight,
            self.config.rms_norm_eps as f32,
        )?)
    }

    /// `[1, n, positions]`, −∞ where a row must not look; none where every row may look everywhere.
    fn mask(&self, n: usize, start: usize) -> Result<Option<Tensor>> {
        if n == 1 {
            return Ok(None);
        }
        let total = start + n;
        let hidden = |i: usize| {
            if i % total > start + i / total {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        };
        Ok(Some(Tensor::from_vec(
            (0..n * total).map(hidden).collect(),
            (1, n, total),
            &self.device,
        )?))
    }

    /// Attention of `x`, `[n, hidden]`, over the cache, into which its keys and values go first; `[n, heads * head_dim]`.
    fn attention(
        &self,
        layer: &Layer,
        x: &Tensor,
        start: usize,
        [cos, sin]: &[Tensor; 2],
        mask: Option<&Tensor>,
        cache: &mut Option<[Tensor; 2]>,
    ) -> Result<Tensor> {
        let (heads, kv_heads, dim) = (
            self.config.num_heads,
            self.config.num_kv_heads,
            self.config.head_dim,
        );
        let n = x.dim(0)?;
        let split = |x: Tensor, heads| x.reshape((1, n, heads, dim))?.transpose(1, 2)?.contiguous();
        let q = rotary_emb::rope_i(&split(layer.q.multiply(x)?, heads)?, cos, sin)?;
        let k = rotary_emb::rope_i(&split(layer.k.multiply(x)?, kv_heads)?, cos, sin)?;
        let v = split(layer.v.multiply(x)?, kv_heads)?;
        let [keys, values] = self.write(cache, [k.squeeze(0)?, v.squeeze(0)?], start)?;
        let q = (q.reshape((kv_heads, heads / kv_heads * n, dim))? * (1.0 / (dim as f64).sqrt()))?;
        let mut scores = q.matmul(&keys.transpose(1, 2)?)?;
        if let Some(mask) = mask {
            let total = start + n;
            scores = scores
                .reshape((heads, n, total))?
                .broadcast_add(mask)?
                .reshape((kv_heads, (), total))?;
        }
        let out = ops::softmax(&scores, D::Minus1)?.matmul(&values)?;
        Ok(out
            .reshape((heads, n, dim))?
            .transpose(0, 1)?
            .reshape((n, heads * dim))?)
    }

    /// Writes keys and values at `start`, and returns all up to their end.
    fn write(
        &self,
        cache: &mut Option<[Tensor; 2]>,
        new: [Tensor; 2],
        start: usize,
    ) -> Result<[Tensor; 2]> {
        let (kv_heads, n, dim) = new[0].dims3()?;
        let have = cache.as_ref().map_or(0, |[keys, _]| keys.dims()[1]);
        if start + n > have {
            let room = (start + n).next_multiple_of(GROWTH) - have;
            let empty = Tensor::zeros((kv_heads, room, dim), DType::F32, &self.device)?;
            *cache = Some(match cache.take() {
                None => [empty.clone(), empty.copy()?],
                Some([keys, values]) => [
                    Tensor::cat(&[&keys, &empty], 1)?,
                    Tensor::cat(&[&values, &empty], 1)?,
                ],
            });
        }
        let Some(all) = cache else {
            return Err(Error::Setting("the cache has no room".into()));
        };
        for (all, new) in all.iter().zip(&new) {
            all.slice_set(&new.contiguous()?, 1, start)?;
        }
        Ok([
            all[0].narrow(1, 0, start + n)?,
            all[1].narrow(1, 0, start + n)?,
        ])
    }
}

impl Layer {
    fn load(
        checkpoint: &Checkpoint,
        i: usize,
        device: &Device,
        kinds: &mut Vec<Kind>,
    ) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let norm = |name: &str| vector(source, &format!("blk.{i}.{name}.weight"), hidden, device);
        let mut matrix = |name: &str, rows, cols| -> Result<Matrix> {
            let (matrix, kind) = Matrix::load(
                source,
                &format!("blk.{i}.{name}.weight"),
                [rows, cols],
                device,
            )?;
            kinds.push(kind);
            Ok(matrix)
        };
        Ok(Self {
            attn_norm: norm("attn_norm")?,
            q: matrix("attn_q", heads, hidden)?,
            k: matrix("attn_k", kv, hidden)?,
            v: matrix("attn_v", kv, hidden)?,
            attn_output: matrix("attn_output", hidden, heads)?,
            ffn_norm: norm("ffn_norm")?,
            gate: matrix("ffn_gate", inner, hidden)?,
            up: matrix("ffn_up", inner, hidden)?,
            down: matrix("ffn_down", hidden, inner)?,
        })
    }
}

fn vector(source: &dyn TensorSource, name: &str, n: usize, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_vec(load::vector(source, name, n)?, n, device)?)
}
