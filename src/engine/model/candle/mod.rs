//! The forward pass with candle tensors, for CUDA and Metal. It runs on any candle device, so tests can use the CPU.

mod sequence;

use super::{DraftOrder, MatrixInfo, Model, Sequence, load, refusals, rope};
use crate::engine::config::LlamaConfig;
use crate::engine::weights::{Checkpoint, TensorSource};
use crate::engine::{Error, Result};
use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Device, DeviceLocation, Module, Tensor};
use candle_nn::ops;
use sequence::CandleSequence;
use std::sync::Arc;

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
    ) -> Result<(Self, MatrixInfo)> {
        let raw = load::raw(source, name, &shape)?;
        let info = MatrixInfo {
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
        Ok((matrix, info))
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

    /// The dense matrix, for looking up rows.
    fn table(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Dense(w) => w.clone(),
            Self::Quantised(w) => w.dequantize_f16()?,
        })
    }
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

/// A Llama on a candle device. A row's result may depend on the other rows of its pass.
pub struct CandleModel(Arc<Weights>);

/// The weights, shared by all sequences.
struct Weights {
    config: LlamaConfig,
    device: Device,
    frequencies: Tensor,
    /// `[vocab, hidden]`
    embedding: Tensor,
    layers: Vec<Layer>,
    output_norm: Tensor,
    output: Matrix,
    draft_order: DraftOrder,
    matrices: Vec<MatrixInfo>,
}

impl CandleModel {
    /// Copies all weights to the device; `progress` is called with the fraction done.
    ///
    /// # Errors
    /// If the checkpoint is not a supported Llama, or the device fails.
    pub fn load(
        checkpoint: &Checkpoint,
        device: &Device,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        checkpoint
            .config
            .check()
            .map_err(|fault| Error::Model(format!("{}: {fault}", checkpoint.name)))?;
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let table = [config.vocab_size, config.hidden_size];
        let mut infos = Vec::new();
        let (tokens, info) = Matrix::load(source, "token_embd.weight", table, device)?;
        infos.push(info);
        let embedding = tokens.table()?;
        let mut layers = Vec::new();
        for i in 0..config.num_layers {
            progress((i as f32 + 1.0) / (config.num_layers as f32 + 1.0));
            layers.push(Layer::load(checkpoint, i, device, &mut infos)?);
        }
        let output = if config.tie_word_embeddings {
            tokens
        } else {
            let (output, info) = Matrix::load(source, "output.weight", table, device)?;
            infos.push(info);
            output
        };
        let output_norm = vector(source, "output_norm.weight", config.hidden_size, device)?;
        let frequencies: Vec<f32> = rope::frequencies(config)
            .into_iter()
            .map(|f| f as f32)
            .collect();
        let frequencies = Tensor::from_vec(frequencies, (1, config.head_dim / 2), device)?;
        progress(1.0);
        Ok(Self(Arc::new(Weights {
            config: config.clone(),
            device: device.clone(),
            frequencies,
            embedding,
            layers,
            output_norm,
            output,
            draft_order: DraftOrder::by_id(config.vocab_size),
            matrices: infos,
        })))
    }
}

impl Model for CandleModel {
    fn config(&self) -> &LlamaConfig {
        &self.0.config
    }

    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>> {
        Ok(Box::new(CandleSequence::new(self.0.clone(), capacity)?))
    }

    fn draft_order(&self) -> &DraftOrder {
        &self.0.draft_order
    }

    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        let order = DraftOrder::new(order, self.0.config.vocab_size)?;
        let Some(weights) = Arc::get_mut(&mut self.0) else {
            return Err(refusals::draft_order_in_use());
        };
        weights.draft_order = order;
        Ok(())
    }

    fn matrices(&self) -> Vec<MatrixInfo> {
        self.0.matrices.clone()
    }

    fn device_name(&self) -> String {
        match self.0.device.location() {
            DeviceLocation::Cpu => "cpu".into(),
            DeviceLocation::Cuda { .. } => "cuda".into(),
            DeviceLocation::Metal { .. } => "metal".into(),
        }
    }
}

impl Weights {
    /// `[n, hidden]`, f32.
    fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        let ids = Tensor::new(ids, &self.device)?;
        Ok(self.embedding.index_select(&ids, 0)?.to_dtype(DType::F32)?)
    }

    /// Logits of `hidden`, `[n, hidden]`, over the tokens of a reduced head or all tokens: `[n, width]`.
    fn head(&self, hidden: &Tensor, vocab: usize) -> Result<Tensor> {
        let logits = self
            .output
            .multiply(&self.norm(hidden, &self.output_norm)?)?;
        if vocab == 0 {
            return Ok(logits);
        }
        let ids = Tensor::new(self.draft_order.ids(vocab), &self.device)?;
        Ok(logits.index_select(&ids, 1)?)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(ops::rms_norm(
            &x.contiguous()?,
            weight,
            self.config.rms_norm_eps as f32,
        )?)
    }
}

impl Layer {
    fn load(
        checkpoint: &Checkpoint,
        i: usize,
        device: &Device,
        infos: &mut Vec<MatrixInfo>,
    ) -> Result<Self> {
        let (config, source) = (&checkpoint.config, &*checkpoint.tensors);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let norm = |name: &str| vector(source, &format!("blk.{i}.{name}.weight"), hidden, device);
        let mut matrix = |name: &str, rows, cols| -> Result<Matrix> {
            let (matrix, info) = Matrix::load(
                source,
                &format!("blk.{i}.{name}.weight"),
                [rows, cols],
                device,
            )?;
            infos.push(info);
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
