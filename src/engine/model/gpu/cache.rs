//! Keys and values on the device.

use super::Weights;
use super::pass::PAGE;
use crate::engine::Result;

/// Pages of 256 slots, in one buffer for each layer.
pub struct Cache {
    pages: usize,
    layers: Vec<Layer>,
}

struct Layer {
    buffer: wgpu::Buffer,
    group: wgpu::BindGroup,
}

impl Cache {
    pub fn new() -> Self {
        Self {
            pages: 0,
            layers: Vec::new(),
        }
    }

    /// Bytes of a page in one layer: f16 keys and values.
    fn page_bytes(weights: &Weights) -> u64 {
        let config = &weights.config;
        (config.num_kv_heads * config.head_dim * PAGE * 2 * size_of::<u16>()) as u64
    }

    /// Allocates pages for `slots` slots, of at most `capacity`. Grows by half, because growing copies.
    ///
    /// # Errors
    /// If the device is out of memory; existing pages stay.
    pub fn grow(&mut self, weights: &Weights, slots: usize, capacity: usize) -> Result<()> {
        let needed = slots.div_ceil(PAGE);
        if needed <= self.pages {
            return Ok(());
        }
        let wanted = needed.max(self.pages * 3 / 2).min(capacity.div_ceil(PAGE));
        self.resize(weights, wanted)
            .or_else(|error| match needed < wanted {
                true => self.resize(weights, needed),
                false => Err(error),
            })
    }

    fn resize(&mut self, weights: &Weights, pages: usize) -> Result<()> {
        let gpu = &weights.gpu;
        let bytes = pages as u64 * Self::page_bytes(weights);
        let what = format!("{} positions of the KV cache", pages * PAGE);
        let mut layers = Vec::with_capacity(weights.config.num_layers);
        for _ in 0..weights.config.num_layers {
            let buffer = gpu.buffer(bytes, &what)?;
            layers.push(Layer {
                group: gpu.cache_group(&buffer),
                buffer,
            });
        }
        if self.pages > 0 {
            let mut encoder = gpu.encoder();
            let kept = self.pages as u64 * Self::page_bytes(weights);
            for (from, to) in self.layers.iter().zip(&layers) {
                encoder.copy_buffer_to_buffer(&from.buffer, 0, &to.buffer, 0, Some(kept));
            }
            gpu.submit(encoder);
        }
        (self.pages, self.layers) = (pages, layers);
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.buffer.size()).sum()
    }

    pub fn group(&self, layer: usize) -> &wgpu::BindGroup {
        &self.layers[layer].group
    }

    pub fn groups(&self) -> impl Iterator<Item = &wgpu::BindGroup> {
        self.layers.iter().map(|layer| &layer.group)
    }
}
