//! The Llama on a GPU, in WGSL kernels on wgpu: Vulkan, Metal or Direct3D 12, without a vendor toolkit.
//!
//! A pass only records kernels; nothing waits for the device until logits are read. Kernels are batch-invariant: a
//! matrix product adds in the same order for every number of rows, and all other kernels treat rows separately, so a
//! row has the same bits in every pass. Rounding differs between devices, so texts may too.

mod adapters;
mod bandwidth;
mod cache;
mod check;
mod context;
mod layout;
mod loader;
mod matrix;
mod pass;
mod round;
mod sequence;
mod shader;
mod split;
#[cfg(test)]
mod tests;

use super::{DraftOrder, MatrixInfo, Model, Sequence, refusals};
use crate::engine::config::LlamaConfig;
use crate::engine::weights::Checkpoint;
use crate::engine::{Error, Result};
use layout::Layout;
use loader::Loader;
use matrix::{Activations, Matrix, Out, Product};
use pass::{Emit, Partials, Scratch};
use sequence::GpuSequence;
use std::ops::Range;
use std::sync::{Arc, Mutex};

pub use adapters::{
    AUTO_BYTES, AdapterInfo, AdapterKind, adapters, auto_refuses, choose, choose_auto,
};
pub use context::Gpu;
pub use split::SplitModel;

/// Max rows of one LM head call, and of each kind of logits in a round.
const HEAD_ROWS: usize = 16;
/// Largest head for which attention over a page fits workgroup memory.
const MAX_HEAD_DIM: usize = 512;

/// A Llama on a GPU.
pub struct GpuModel(Arc<Weights>);

/// Data shared by all sequences.
struct Weights {
    config: LlamaConfig,
    gpu: Arc<Gpu>,
    frequencies: Vec<f64>,
    /// The parts of the embedding; none if the first layers are on another device.
    embedding: Vec<Embedding>,
    /// Bytes of the embedding, unless it is also the LM head.
    embedding_bytes: u64,
    layers: Vec<Layer>,
    rope_group: wgpu::BindGroup,
    /// Query heads per attention workgroup.
    attention_group: usize,
    output_norm: Emit,
    /// The LM head.
    output: Matrix,
    head: Vec<Product>,
    draft_order: DraftOrder,
    /// Rows of the LM head in draft order; `None` if that is id order.
    draft: Option<(Matrix, Vec<Product>)>,
    /// Token ids of the draft order, and of the vocabulary.
    draft_ids: wgpu::Buffer,
    all_ids: wgpu::Buffer,
    /// Logits, `[2 * HEAD_ROWS][vocabulary]`: the verifier's, then the drafts'.
    logits: wgpu::Buffer,
    infos: Vec<MatrixInfo>,
    /// Mean bytes of the weights of a layer.
    layer_bytes: u64,
    activations: Buffers,
    scratch: Mutex<Scratch>,
}

/// A part of the embedding with its buffers bound.
struct Embedding {
    layout: Layout,
    units: usize,
    group: wgpu::BindGroup,
}

/// One layer: kernels with their buffers bound.
struct Layer {
    attn_norm: Emit,
    qkv: Vec<Product>,
    attn_output: Vec<Product>,
    ffn_norm: Emit,
    gate_up: Vec<Product>,
    swiglu: Emit,
    down: Vec<Product>,
}

/// Intermediate results of a pass.
struct Buffers {
    /// Normalised input of attention, of the feed-forward network, or of the head.
    input: Activations,
    /// Output of attention.
    attended: Activations,
    /// Hidden state of the feed-forward network.
    inner: Activations,
    /// Output of the projections, `[row][q, k, v]`.
    qkv: wgpu::Buffer,
    /// Rotated queries.
    q: wgpu::Buffer,
    /// `[row][gate, up]`
    gate_up: wgpu::Buffer,
}

impl GpuModel {
    /// Copies all weights to the device; `progress` is called with the fraction done.
    ///
    /// # Errors
    /// If the checkpoint is not a supported Llama, the device is out of memory, or it fails.
    pub fn load(
        checkpoint: &Checkpoint,
        gpu: Arc<Gpu>,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let layers = 0..checkpoint.config.num_layers;
        Self::load_layers(checkpoint, gpu, layers, progress)
    }

    /// As [`Self::load`], for some of the layers. The embedding is loaded with layer 0, the LM head always.
    fn load_layers(
        checkpoint: &Checkpoint,
        gpu: Arc<Gpu>,
        layers: Range<usize>,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Self> {
        let config = &checkpoint.config;
        config
            .check()
            .map_err(|fault| Error::Model(format!("{}: {fault}", checkpoint.name)))?;
        if config.head_dim > MAX_HEAD_DIM {
            return Err(Error::Model(format!(
                "{}: its head size {} is more than the {MAX_HEAD_DIM} that the GPU kernels support; choose --device cpu",
                checkpoint.name, config.head_dim
            )));
        }
        Loader::new(checkpoint, &gpu, layers)?
            .load(progress)
            .map(|weights| Self(Arc::new(weights)))
    }
}

impl Model for GpuModel {
    fn config(&self) -> &LlamaConfig {
        &self.0.config
    }

    fn sequence(&self, capacity: usize) -> Result<Box<dyn Sequence>> {
        Ok(Box::new(GpuSequence::new(self.0.clone(), capacity)?))
    }

    fn draft_order(&self) -> &DraftOrder {
        &self.0.draft_order
    }

    fn set_draft_order(&mut self, order: Vec<u32>) -> Result<()> {
        let order = DraftOrder::new(order, self.0.config.vocab_size)?;
        let Some(weights) = Arc::get_mut(&mut self.0) else {
            return Err(refusals::draft_order_in_use());
        };
        let ids = order.ids(usize::MAX);
        weights.draft = match order.is_prefix() {
            true => None,
            false => {
                let matrix = weights.output.gather(&weights.gpu, ids)?;
                let out = Out::Store(&weights.logits, weights.config.vocab_size);
                let products = matrix.products(&weights.gpu, &weights.activations.input, out)?;
                Some((matrix, products))
            }
        };
        let bytes = bytemuck::cast_slice(ids);
        weights.gpu.queue.write_buffer(&weights.draft_ids, 0, bytes);
        weights.draft_order = order;
        Ok(())
    }

    fn plans_rounds(&self) -> bool {
        true
    }

    fn matrices(&self) -> Vec<MatrixInfo> {
        self.0.infos.clone()
    }

    fn device_name(&self) -> String {
        let info = &self.0.gpu.info;
        // Drivers append versions in parentheses.
        let name = info.name.split(" (").next().unwrap_or(&info.name);
        format!("gpu:{} {name}", info.index)
    }

    fn step_bytes(&self) -> u64 {
        self.weight_bytes() - self.0.embedding_bytes
    }

    fn read_bandwidth(&self) -> Option<f64> {
        bandwidth::read_bandwidth(&self.0.gpu).ok()
    }
}

impl Weights {
    /// Products of the LM head over the first `vocab` tokens of the draft order, or over all tokens, and their width.
    fn head_products(&self, vocab: usize) -> (&[Product], usize) {
        let width = self.draft_order.width(vocab);
        match &self.draft {
            Some((_, products)) if vocab > 0 => (products, width),
            _ => (&self.head, width),
        }
    }

    /// Buffers for partial results of attention.
    fn partials(&self, bytes: u64) -> Result<Partials> {
        let forms = output_forms(&self.layers);
        loader::partials(&self.config, &self.gpu, &self.activations, bytes, forms)
    }
}

/// Forms of activations that the output projections read, as [`Matrix::forms`].
fn output_forms(layers: &[Layer]) -> u32 {
    let products = layers.iter().flat_map(|layer| &layer.attn_output);
    products.fold(0, |forms, product| forms | product.layout.form())
}
