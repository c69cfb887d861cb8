//! The KV cache that draft and verify share. Keys and values are written by position, so that taking tokens back is
//! moving an integer.

use super::kernels::{LANES, PAGE, Page};
use super::model::CacheTensors;
use super::{Error, Result};

/// Keys and values of all layers up to [`KvCache::len`] positions.
pub struct KvCache {
    len: usize,
    capacity: usize,
    pub(crate) store: Store,
}

/// Where a device keeps them.
pub(crate) enum Store {
    Pages(Pages),
    Tensors(CacheTensors),
}

impl KvCache {
    pub(crate) fn new(capacity: usize, store: Store) -> Self {
        Self {
            len: 0,
            capacity,
            store,
        }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions that can be held.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Forgets everything; memory is kept.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Says that positions `start..start + n` are about to be written. Fails if they do not fit, or would leave a gap.
    pub(crate) fn extend(&mut self, start: usize, n: usize) -> Result<()> {
        let end = start.checked_add(n).filter(|&end| end <= self.capacity);
        let (Some(end), true) = (end, start <= self.len) else {
            let (len, capacity) = (self.len, self.capacity);
            let message = format!(
                "positions {start} to {start} + {n} do not fit a cache of {len} of {capacity} positions"
            );
            return Err(Error::Setting(message));
        };
        if let Store::Pages(pages) = &mut self.store {
            pages.grow(end);
        }
        self.len = self.len.max(end);
        Ok(())
    }
}

/// Pages of 256 positions as the CPU kernels read them. They are made when they are first needed and never move.
pub(crate) struct Pages {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Each page is f16 `[layer][kv_head]` of keys `[panel][head_dim][16 positions]` and values
    /// `[chunk][256 positions][16]`.
    pages: Vec<Page>,
    /// cos and sin of every position so far, `[position][head_dim / 2][2]`.
    pub rotations: Vec<f32>,
}

impl Pages {
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self {
            layers,
            kv_heads,
            head_dim,
            pages: Vec::new(),
            rotations: Vec::new(),
        }
    }

    /// Makes pages for that many positions, and room for their rotations, so that between pages nothing grows.
    fn grow(&mut self, positions: usize) {
        let size = self.layers * self.kv_heads * self.head_size();
        while self.pages.len() * PAGE < positions {
            self.pages.push(Page::zeros(size));
        }
        self.rotations
            .reserve(self.pages.len() * PAGE * self.head_dim - self.rotations.len());
    }

    /// Bytes aside, what keys and values of one head take in a page.
    fn head_size(&self) -> usize {
        PAGE * self.head_dim + PAGE * self.head_dim.next_multiple_of(LANES)
    }

    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Where in a page keys and values of a head begin, as [`super::kernels::Attention`] takes them.
    pub fn head(&self, layer: usize, head: usize) -> [usize; 2] {
        assert!(layer < self.layers && head < self.kv_heads);
        let start = (layer * self.kv_heads + head) * self.head_size();
        [start, start + PAGE * self.head_dim]
    }

    /// Writes elements `first..` of a key, f16.
    ///
    /// # Safety
    /// No one else uses those elements meanwhile.
    pub unsafe fn write_key(
        &self,
        layer: usize,
        head: usize,
        position: usize,
        first: usize,
        key: &[u16],
    ) {
        assert!(first + key.len() <= self.head_dim);
        let ([start, _], at) = (self.head(layer, head), position % PAGE);
        let start = self.pages[position / PAGE].at(start);
        for (i, &x) in key.iter().enumerate() {
            let offset = (at / LANES * self.head_dim + first + i) * LANES + at % LANES;
            // SAFETY: inside of the page, and the caller's.
            unsafe { *start.add(offset) = x };
        }
    }

    /// Writes elements `first..` of a value, f16.
    ///
    /// # Safety
    /// No one else uses those elements meanwhile.
    pub unsafe fn write_value(
        &self,
        layer: usize,
        head: usize,
        position: usize,
        first: usize,
        value: &[u16],
    ) {
        assert!(first + value.len() <= self.head_dim);
        let ([_, start], at) = (self.head(layer, head), position % PAGE);
        let start = self.pages[position / PAGE].at(start);
        for (i, &x) in value.iter().enumerate() {
            let d = first + i;
            let offset = (d / LANES * PAGE + at) * LANES + d % LANES;
            // SAFETY: inside of the page, and the caller's.
            unsafe { *start.add(offset) = x };
        }
    }
}
