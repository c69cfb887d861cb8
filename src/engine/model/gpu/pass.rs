//! Records passes: which kernels run, in which order, with which buffers.

use super::Weights;
use super::context::{Gpu, UNIFORM_STRIDE};
use super::matrix::Product;
use super::shader::{Kernel, ROW_COUNTS, TEAM_ROWS, Tile, attends_in_one};
use crate::engine::Result;
use crate::engine::model::{Ancestors, Row};
use bytemuck::{Pod, Zeroable};

/// Max rows of a pass; longer ones are divided.
pub const MAX_ROWS: usize = 64;
/// Max batches of one upload.
pub const MAX_BATCHES: usize = 64;
/// Positions per page of attention, and slots per page of the cache.
pub const PAGE: usize = 256;
/// Max bytes of weights that one submission reads, so that a slow device returns well before a watchdog of 2 s.
const SUBMISSION_BYTES: u64 = 4 << 30;

/// Kernels of the first submission: few, so that the device starts soon.
const FIRST_SUBMISSION: usize = 16;
/// Max kernels per submission; each one has twice as many as the one before.
const MAX_SUBMISSION: usize = 128;

/// As `Batch` in common.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct Batch {
    pub first: u32,
    pub n: u32,
    pub kept: u32,
    pub pages: u32,
    pub out_row: u32,
    pub step: u32,
    pub pad: [u32; 2],
}

/// As `Row` in common.wgsl.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
pub struct DeviceRow {
    position: u32,
    slot: u32,
    state: u32,
    tree: u32,
    mask: [u32; 2],
    pad: [u32; 2],
}

impl DeviceRow {
    /// A row of a sequence that keeps `len` positions.
    pub fn new(row: &Row, len: usize) -> Self {
        let mask = match row.ancestors {
            Ancestors::Chain => None,
            Ancestors::Tree(mask) => Some(mask),
        };
        Self {
            position: row.position as u32,
            slot: row.slot as u32,
            state: (row.slot - len) as u32,
            tree: u32::from(mask.is_some()),
            mask: mask.map_or([0; 2], |mask| [mask as u32, (mask >> 32) as u32]),
            pad: [0; 2],
        }
    }
}

/// Buffers that the sequences of a model share. They hold the rows of one submission.
pub struct Scratch {
    pub batches: wgpu::Buffer,
    pub rows: wgpu::Buffer,
    pub tokens: wgpu::Buffer,
    /// `[row][head_dim / 2][cos, sin]`
    pub rotations: wgpu::Buffer,
    pub moves: wgpu::Buffer,
    pub choices: wgpu::Buffer,
    /// Partial results of attention.
    pub partials: Partials,
    pub staging: wgpu::Buffer,
}

/// Partial results of attention, with the groups that bind them.
pub struct Partials {
    pub buffer: wgpu::Buffer,
    pub attend: wgpu::BindGroup,
    pub combine: wgpu::BindGroup,
    /// Where one page suffices, whose results are not partial.
    pub attend_page: wgpu::BindGroup,
    pub heads: wgpu::BindGroup,
}

/// A kernel that writes activations.
pub struct Emit {
    pub kernel: Kernel,
    pub group: wgpu::BindGroup,
    /// Workgroups per row.
    pub groups: u32,
}

/// Records kernels for one batch of rows, and submits them from time to time, so that the device works while the host
/// records.
pub struct Recorder<'a> {
    gpu: &'a Gpu,
    pass: wgpu::ComputePass<'static>,
    encoder: wgpu::CommandEncoder,
    /// Kernels since the last submission.
    recorded: usize,
    /// Kernels per submission.
    max_recorded: usize,
    /// Group 0.
    pub states: &'a wgpu::BindGroup,
    /// Index of the batch.
    batch: usize,
    /// Rows of the batch.
    n: usize,
    /// Pages that these rows attend to.
    pages: usize,
}

impl<'a> Recorder<'a> {
    /// A recorder that starts with batch 0 of `n` rows.
    pub fn new(gpu: &'a Gpu, states: &'a wgpu::BindGroup, n: usize, pages: usize) -> Self {
        let (encoder, pass) = begin(gpu);
        Self {
            gpu,
            pass,
            encoder,
            recorded: 0,
            max_recorded: FIRST_SUBMISSION,
            states,
            batch: 0,
            n,
            pages,
        }
    }

    /// Collects all kernels in one submission.
    #[cfg(test)]
    pub fn submit_once(&mut self) {
        self.max_recorded = usize::MAX;
    }

    /// Submits what was recorded so far.
    fn submit(&mut self) {
        let (encoder, pass) = begin(self.gpu);
        // The old pass ends before its encoder does.
        drop(std::mem::replace(&mut self.pass, pass));
        self.gpu
            .submit(std::mem::replace(&mut self.encoder, encoder));
        self.recorded = 0;
    }

    /// The commands that are not yet submitted.
    pub fn finish(self) -> wgpu::CommandEncoder {
        drop(self.pass);
        self.encoder
    }

    /// Continues with another batch.
    pub fn select(&mut self, batch: usize, n: usize) {
        (self.batch, self.n) = (batch, n);
    }

    /// Runs a kernel.
    pub fn run(&mut self, kernel: Kernel, groups: &[&wgpu::BindGroup], size: [u32; 3]) {
        self.pass.set_pipeline(&self.gpu.pipeline(kernel));
        let offset = self.batch as u32 * UNIFORM_STRIDE as u32;
        self.pass.set_bind_group(0, self.states, &[offset]);
        for (group, index) in groups.iter().zip(1..) {
            self.pass.set_bind_group(index, *group, &[]);
        }
        let [x, y, z] = size;
        self.pass.dispatch_workgroups(x, y, z);
        self.recorded += 1;
        if self.recorded >= self.max_recorded {
            self.submit();
            self.max_recorded = (2 * self.max_recorded).min(MAX_SUBMISSION);
        }
    }

    /// Multiplies the rows of the batch by the first `width` rows of a matrix.
    pub fn multiply(&mut self, products: &[Product], width: usize) {
        let rows = row_count(self.gpu, self.n);
        for product in products.iter().filter(|product| product.first < width) {
            let height = product.rows.min(width - product.first);
            let tile = Tile::of(product.layout, rows);
            let kernel = Kernel::Multiply {
                layout: product.layout,
                rows,
                add: product.add,
                tile,
            };
            let size = [
                height.div_ceil(tile.group_rows(rows)),
                self.n.div_ceil(rows),
                1,
            ];
            self.run(kernel, &[&product.group], size.map(|n| n as u32));
        }
    }

    /// Writes activations of the rows of the batch.
    pub fn emit(&mut self, emit: &Emit) {
        let size = [emit.groups, self.n as u32, 1];
        self.run(emit.kernel, &[&emit.group], size);
    }
}

fn begin(gpu: &Gpu) -> (wgpu::CommandEncoder, wgpu::ComputePass<'static>) {
    let mut encoder = gpu.encoder();
    let pass = encoder
        .begin_compute_pass(&Default::default())
        .forget_lifetime();
    (encoder, pass)
}

/// Row count of the kernel that multiplies `n` rows.
pub fn row_count(gpu: &Gpu, n: usize) -> usize {
    let fits = ROW_COUNTS.into_iter().find(|&rows| rows >= n);
    gpu.only_rows.or(fits).unwrap_or(MAX_ROWS)
}

impl Weights {
    /// Max rows of a pass over contexts of `pages` pages.
    pub fn max_rows(&self, pages: usize) -> usize {
        let limit = self
            .gpu
            .limits
            .max_storage_buffer_binding_size
            .min(128 << 20);
        let row = self.partial_floats(1, pages) as u64 * 4;
        ((limit / row) as usize).clamp(1, MAX_ROWS)
    }

    pub fn partial_floats(&self, rows: usize, pages: usize) -> usize {
        rows * self.config.num_heads * pages * (self.config.head_dim + 2)
    }

    /// Copies rows, their tokens and their rotations, and the batches into which they are divided, to the device.
    pub fn upload(
        &self,
        scratch: &mut Scratch,
        rows: &[Row],
        len: usize,
        batches: &[Batch],
    ) -> Result<()> {
        let device_rows: Vec<_> = rows.iter().map(|row| DeviceRow::new(row, len)).collect();
        let tokens: Vec<u32> = rows.iter().map(|row| row.token).collect();
        let pairs = self.frequencies.len();
        let mut rotations = Vec::with_capacity(rows.len() * pairs * 2);
        for row in rows {
            for frequency in &self.frequencies {
                let (sin, cos) = (row.position as f64 * frequency).sin_cos();
                rotations.extend([cos as f32, sin as f32]);
            }
        }
        let mut padded = vec![0u8; batches.len() * UNIFORM_STRIDE as usize];
        for (batch, to) in batches
            .iter()
            .zip(padded.chunks_mut(UNIFORM_STRIDE as usize))
        {
            to[..size_of::<Batch>()].copy_from_slice(bytemuck::bytes_of(batch));
        }
        let write =
            |buffer: &wgpu::Buffer, bytes: &[u8]| self.gpu.queue.write_buffer(buffer, 0, bytes);
        write(&scratch.rows, bytemuck::cast_slice(&device_rows));
        write(&scratch.tokens, bytemuck::cast_slice(&tokens));
        write(&scratch.rotations, bytemuck::cast_slice(&rotations));
        write(&scratch.batches, &padded);
        let rows = batches
            .iter()
            .map(|batch| batch.n as usize)
            .max()
            .unwrap_or(0);
        let pages = batches
            .iter()
            .map(|batch| batch.pages as usize)
            .max()
            .unwrap_or(0);
        let bytes = self.partial_floats(rows, pages) as u64 * 4;
        if scratch.partials.buffer.size() < bytes {
            scratch.partials = self.partials(bytes.next_power_of_two())?;
        }
        Ok(())
    }

    /// Embeds the rows of the batch, unless the first layers are on another device.
    pub fn embed(&self, recorder: &mut Recorder<'_>) {
        for part in &self.embedding {
            let size = [part.units.div_ceil(64) as u32, recorder.n as u32, 1];
            recorder.run(Kernel::Embed(part.layout), &[&part.group], size);
        }
    }

    /// Runs a layer over the rows of the batch.
    pub fn layer(
        &self,
        recorder: &mut Recorder<'_>,
        scratch: &Scratch,
        index: usize,
        cache: &wgpu::BindGroup,
    ) {
        let (config, layer, n) = (&self.config, &self.layers[index], recorder.n as u32);
        recorder.emit(&layer.attn_norm);
        recorder.multiply(&layer.qkv, usize::MAX);
        let pairs = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim / 2;
        let size = [pairs.div_ceil(64) as u32, n, 1];
        recorder.run(Kernel::Rope, &[&self.rope_group, cache], size);
        self.attend(recorder, &scratch.partials, cache);
        recorder.multiply(&layer.attn_output, usize::MAX);
        recorder.emit(&layer.ffn_norm);
        recorder.multiply(&layer.gate_up, usize::MAX);
        recorder.emit(&layer.swiglu);
        recorder.multiply(&layer.down, usize::MAX);
    }

    /// Attention of the rows of the batch.
    pub fn attend(
        &self,
        recorder: &mut Recorder<'_>,
        partials: &Partials,
        cache: &wgpu::BindGroup,
    ) {
        let (heads, head_dim) = (self.config.num_heads, self.config.head_dim);
        let (group, n) = (self.attention_group, recorder.n as u32);
        let size = [(heads / group) as u32, n, recorder.pages as u32];
        if recorder.pages == 1 && attends_in_one(head_dim, group) {
            let kernel = Kernel::AttendPage { head_dim, group };
            let groups = [&partials.attend_page, cache, &partials.heads];
            recorder.run(kernel, &groups, size);
            return;
        }
        let kernel = Kernel::Attend { head_dim, group };
        recorder.run(kernel, &[&partials.attend, cache], size);
        let size = [(heads * head_dim).div_ceil(1024) as u32, n, 1];
        recorder.run(Kernel::Combine, &[&partials.combine], size);
    }

    /// Final norm and the first `width` rows of an LM head.
    pub fn head(&self, recorder: &mut Recorder<'_>, products: &[Product], width: usize) {
        recorder.emit(&self.output_norm);
        recorder.multiply(products, width);
    }

    /// How many layers a submission with `n` rows may run.
    pub fn submission_layers(&self, n: usize) -> usize {
        let tiles = n.div_ceil(TEAM_ROWS) as u64;
        ((SUBMISSION_BYTES / (self.layer_bytes * tiles).max(1)) as usize).max(1)
    }
}
