//! Loads a model: uploads its weights, allocates its buffers and binds them.

use super::context::{Gpu, UNIFORM_STRIDE};
use super::matrix::{Activations, Matrix, Out, Uploader, padded};
use super::pass::{self, Emit, MAX_BATCHES, MAX_ROWS, Partials, Scratch};
use super::round::Choice;
use super::shader::{self, Kernel};
use super::{Buffers, Embedding, HEAD_ROWS, Layer, Weights, output_forms};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::physical_cores;
use crate::engine::model::{DraftOrder, MatrixInfo, load, rope};
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Buffers for partial results of attention, for projections that read these forms of activations.
///
/// # Errors
/// If the device is out of memory.
pub fn partials(
    config: &LlamaConfig,
    gpu: &Gpu,
    activations: &Buffers,
    bytes: u64,
    forms: u32,
) -> Result<Partials> {
    let buffer = gpu.buffer(bytes, "partial results of attention")?;
    let (heads, dim) = (config.num_heads, config.head_dim);
    let group = shader::attention_group(heads / config.num_kv_heads, dim);
    let scale = 1.0 / (dim as f32).sqrt();
    let attend = gpu.uniform(&[
        heads as u32,
        config.num_kv_heads as u32,
        (heads / config.num_kv_heads / group) as u32,
        scale.to_bits(),
    ])?;
    let dims = EmitDims {
        cols: heads * dim,
        stride: 0,
        forms,
    };
    let emit = |input| emit_group(gpu, config, input, None, &activations.attended, dims);
    Ok(Partials {
        attend: gpu.attend_group([&activations.q, &buffer, &attend]),
        combine: emit(&buffer)?,
        attend_page: emit(&activations.q)?,
        heads: gpu.heads_group(&attend),
        buffer,
    })
}

/// Sizes of a kernel that writes activations.
#[derive(Clone, Copy)]
struct EmitDims {
    cols: usize,
    stride: usize,
    forms: u32,
}

fn emit_group(
    gpu: &Gpu,
    config: &LlamaConfig,
    input: &wgpu::Buffer,
    weight: Option<&wgpu::Buffer>,
    out: &Activations,
    dims: EmitDims,
) -> Result<wgpu::BindGroup> {
    let EmitDims {
        cols,
        stride,
        forms,
    } = dims;
    let dims = gpu.uniform(&[
        cols as u32,
        (padded(cols) / 4) as u32,
        (cols / 32) as u32,
        forms,
        stride as u32,
        config.head_dim as u32,
        config.num_heads as u32,
        (config.rms_norm_eps as f32).to_bits(),
    ])?;
    let weight = weight.unwrap_or(&gpu.unread);
    Ok(gpu.emit_group([input, weight, &out.dense, &out.bytes, &out.info, &dims]))
}

/// Loads a model, or some of its layers.
pub struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    gpu: &'a Arc<Gpu>,
    layers: Range<usize>,
    uploader: Uploader<'a>,
    buffers: Buffers,
    infos: Vec<MatrixInfo>,
}

impl<'a> Loader<'a> {
    pub fn new(
        checkpoint: &'a Checkpoint,
        gpu: &'a Arc<Gpu>,
        layers: Range<usize>,
    ) -> Result<Self> {
        let config = &checkpoint.config;
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let floats = |cols: usize| gpu.buffer((MAX_ROWS * cols * 4) as u64, "activations");
        let inner = config.intermediate_size;
        Ok(Self {
            checkpoint,
            gpu,
            layers,
            uploader: Uploader::new(gpu, physical_cores()),
            buffers: Buffers {
                input: Activations::new(gpu, MAX_ROWS, config.hidden_size)?,
                attended: Activations::new(gpu, MAX_ROWS, heads)?,
                inner: Activations::new(gpu, MAX_ROWS, inner)?,
                qkv: floats(heads + 2 * kv)?,
                q: floats(heads)?,
                gate_up: floats(2 * inner)?,
            },
            infos: Vec::new(),
        })
    }

    /// Copies all weights to the device; `progress` is called with the fraction done.
    ///
    /// # Errors
    /// As [`GpuModel::load`](super::GpuModel::load).
    pub fn load(mut self, progress: &mut dyn FnMut(f32)) -> Result<Weights> {
        let (config, gpu) = (&self.checkpoint.config, self.gpu);
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let layer_count = self.layers.len();
        let steps = layer_count as f32 + 1.0;
        let embedding = match self.layers.start {
            0 => Some(self.matrix(&[("token_embd.weight", vocab)], hidden)?),
            _ => None,
        };
        let head_name = match config.tie_word_embeddings {
            true => "token_embd.weight",
            false => "output.weight",
        };
        let separate = match embedding.is_some() && config.tie_word_embeddings {
            true => None,
            false => Some(self.matrix(&[(head_name, vocab)], hidden)?),
        };
        let other_bytes: u64 = self.infos.iter().map(|info| info.bytes).sum();
        let mut layers = Vec::new();
        for (done, i) in self.layers.clone().enumerate() {
            progress((done as f32 + 1.0) / steps);
            layers.push(self.layer(i)?);
        }
        self.uploader.flush()?;
        let ids: Vec<u32> = (0..vocab as u32).collect();
        let id_buffer = || -> Result<wgpu::Buffer> {
            let buffer = gpu.buffer(vocab as u64 * 4, "token ids")?;
            gpu.queue
                .write_buffer(&buffer, 0, bytemuck::cast_slice(&ids));
            Ok(buffer)
        };
        let (draft_ids, all_ids) = (id_buffer()?, id_buffer()?);
        let scratch = self.scratch(&layers)?;
        let embedding_bytes = match (&embedding, &separate) {
            (Some(embedding), Some(_)) => embedding.bytes(),
            _ => 0,
        };
        let parts = embedding.iter().flat_map(|embedding| &embedding.parts);
        let bound = parts.map(|part| {
            let dims = gpu.uniform(&part.dims(padded(hidden)))?;
            let buffers = [
                &part.quants,
                &part.extra,
                &scratch.tokens,
                &gpu.unread,
                &gpu.unwritten,
                &dims,
            ];
            Ok(Embedding {
                layout: part.layout,
                units: part.units,
                group: gpu.multiply_group(buffers),
            })
        });
        let bound = bound.collect::<Result<Vec<_>>>()?;
        let Some(output) = separate.or(embedding) else {
            return Err(Error::Model(format!("the model has no tensor {head_name}")));
        };
        let output_norm = self.norm("output_norm.weight", output.forms())?;
        let logits = gpu.buffer((2 * HEAD_ROWS * vocab * 4) as u64, "logits")?;
        let head = output.products(gpu, &self.buffers.input, Out::Store(&logits, vocab))?;
        let rope = gpu.uniform(&[
            config.num_heads as u32,
            config.num_kv_heads as u32,
            (config.head_dim / 2) as u32,
            0,
        ])?;
        let buffers = &self.buffers;
        let rope_group = gpu.rope_group([&buffers.qkv, &scratch.rotations, &buffers.q, &rope]);
        progress(1.0);
        gpu.wait()?;
        let all_bytes: u64 = self.infos.iter().map(|info| info.bytes).sum();
        Ok(Weights {
            config: LlamaConfig {
                num_layers: layer_count,
                ..config.clone()
            },
            gpu: gpu.clone(),
            frequencies: rope::frequencies(config),
            embedding: bound,
            embedding_bytes,
            rope_group,
            attention_group: shader::attention_group(
                config.num_heads / config.num_kv_heads,
                config.head_dim,
            ),
            output_norm,
            output,
            head,
            draft_order: DraftOrder::by_id(vocab),
            draft: None,
            draft_ids,
            all_ids,
            logits,
            layer_bytes: (all_bytes - other_bytes) / layers.len() as u64,
            layers,
            infos: self.infos,
            activations: self.buffers,
            scratch: Mutex::new(scratch),
        })
    }

    fn matrix(&mut self, names: &[(&str, usize)], cols: usize) -> Result<Matrix> {
        let source = &*self.checkpoint.tensors;
        let mut tensors = Vec::new();
        for &(name, rows) in names {
            tensors.push((name, load::raw(source, name, &[rows, cols])?));
        }
        let matrix = self.uploader.matrix(&tensors, cols)?;
        self.infos.extend(&matrix.infos);
        Ok(matrix)
    }

    fn layer(&mut self, i: usize) -> Result<Layer> {
        let config = &self.checkpoint.config;
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (heads, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let name = |name: &str| format!("blk.{i}.{name}.weight");
        let [q, k, v] = ["attn_q", "attn_k", "attn_v"].map(name);
        let qkv = self.matrix(&[(&q, heads), (&k, kv), (&v, kv)], hidden)?;
        let attn_output = self.matrix(&[(&name("attn_output"), hidden)], heads)?;
        let gate_up = self.matrix(
            &[(&name("ffn_gate"), inner), (&name("ffn_up"), inner)],
            hidden,
        )?;
        let down = self.matrix(&[(&name("ffn_down"), hidden)], inner)?;
        let attn_norm = self.norm(&name("attn_norm"), qkv.forms())?;
        let ffn_norm = self.norm(&name("ffn_norm"), gate_up.forms())?;
        let (gpu, buffers) = (self.gpu, &self.buffers);
        let dims = EmitDims {
            cols: inner,
            stride: 2 * inner,
            forms: down.forms(),
        };
        let swiglu = emit_group(gpu, config, &buffers.gate_up, None, &buffers.inner, dims)?;
        let states = Out::Add(padded(hidden));
        Ok(Layer {
            attn_norm,
            qkv: qkv.products(
                gpu,
                &buffers.input,
                Out::Store(&buffers.qkv, heads + 2 * kv),
            )?,
            attn_output: attn_output.products(gpu, &buffers.attended, states)?,
            ffn_norm,
            gate_up: gate_up.products(
                gpu,
                &buffers.input,
                Out::Store(&buffers.gate_up, 2 * inner),
            )?,
            swiglu: Emit {
                kernel: Kernel::Swiglu,
                group: swiglu,
                groups: inner.div_ceil(1024) as u32,
            },
            down: down.products(gpu, &buffers.inner, states)?,
        })
    }

    /// An RMSNorm that writes the given forms of activations.
    fn norm(&mut self, name: &str, forms: u32) -> Result<Emit> {
        let config = &self.checkpoint.config;
        let hidden = config.hidden_size;
        let mut weight = load::vector(&*self.checkpoint.tensors, name, hidden)?;
        weight.resize(padded(hidden), 0.0);
        let weight = self.uploader.vector(&weight)?;
        let dims = EmitDims {
            cols: hidden,
            stride: padded(hidden),
            forms,
        };
        let (gpu, input) = (self.gpu, &self.buffers.input);
        Ok(Emit {
            kernel: Kernel::Norm,
            group: emit_group(gpu, config, &gpu.unread, Some(&weight), input, dims)?,
            groups: hidden.div_ceil(1024) as u32,
        })
    }

    fn scratch(&self, layers: &[Layer]) -> Result<Scratch> {
        let (gpu, config) = (self.gpu, &self.checkpoint.config);
        let rows = |bytes: usize| gpu.buffer((MAX_ROWS * bytes) as u64, "rows");
        let forms = output_forms(layers);
        Ok(Scratch {
            batches: gpu.uniforms(MAX_BATCHES as u64 * UNIFORM_STRIDE)?,
            rows: rows(size_of::<pass::DeviceRow>())?,
            tokens: rows(4)?,
            rotations: rows(config.head_dim * 4)?,
            moves: rows(8)?,
            choices: rows(size_of::<Choice>())?,
            partials: partials(config, gpu, &self.buffers, 1 << 16, forms)?,
            staging: gpu.staging(1 << 16)?,
        })
    }
}
