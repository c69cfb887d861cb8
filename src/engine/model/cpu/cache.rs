//! Keys and values in the layout of the CPU kernels.

use crate::engine::kernels::{LANES, PAGE, Page};
use crate::engine::{Result, memory};

/// Pages of 256 slots, allocated on demand. They never move.
pub struct Pages {
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Each page is f16 `[layer][kv_head]` of keys `[panel][head_dim][16 slots]` and values `[chunk][256 slots][16]`.
    pages: Vec<Page>,
}

impl Pages {
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self {
            layers,
            kv_heads,
            head_dim,
            pages: Vec::new(),
        }
    }

    /// Allocates pages for `slots` slots.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::engine::Error::OutOfMemory) if the memory cannot be allocated; existing pages stay.
    pub fn grow(&mut self, slots: usize) -> Result<()> {
        let size = self.layers * self.kv_heads * self.head_size();
        while self.pages.len() * PAGE < slots {
            let page = Page::zeros(size).map_err(|_| {
                let positions = self.pages.len() * PAGE;
                let what = format!(
                    "the KV cache, which holds {positions} positions, is full: the next {PAGE}"
                );
                memory::out_of_memory(2 * size as u64, &what)
            })?;
            self.pages.push(page);
        }
        Ok(())
    }

    /// Size of all pages in bytes.
    pub fn bytes(&self) -> u64 {
        let page = self.layers * self.kv_heads * self.head_size() * size_of::<u16>();
        (self.pages.len() * page) as u64
    }

    /// Elements that the keys and values of one head take in a page.
    fn head_size(&self) -> usize {
        PAGE * self.head_dim + PAGE * self.head_dim.next_multiple_of(LANES)
    }

    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// Offsets of the keys and values of a head in a page, for [`Attention`](crate::engine::kernels::Attention).
    pub fn head(&self, layer: usize, head: usize) -> [usize; 2] {
        assert!(layer < self.layers && head < self.kv_heads);
        let start = (layer * self.kv_heads + head) * self.head_size();
        [start, start + PAGE * self.head_dim]
    }

    fn key(&self, layer: usize, head: usize, slot: usize, d: usize) -> *mut u16 {
        let ([start, _], at) = (self.head(layer, head), slot % PAGE);
        let offset = (at / LANES * self.head_dim + d) * LANES + at % LANES;
        self.pages[slot / PAGE].at(start + offset)
    }

    fn value(&self, layer: usize, head: usize, slot: usize, d: usize) -> *mut u16 {
        let ([_, start], at) = (self.head(layer, head), slot % PAGE);
        let offset = (d / LANES * PAGE + at) * LANES + d % LANES;
        self.pages[slot / PAGE].at(start + offset)
    }

    /// Writes elements `first..` of a key, f16.
    ///
    /// # Safety
    /// No other thread accesses those elements during the call.
    pub unsafe fn write_key(
        &self,
        layer: usize,
        head: usize,
        slot: usize,
        first: usize,
        key: &[u16],
    ) {
        assert!(first + key.len() <= self.head_dim);
        let start = self.key(layer, head, slot, first);
        for (i, &x) in key.iter().enumerate() {
            // SAFETY: elements of a key are `LANES` apart within its panel, `first + key.len()` is at most `head_dim`, and the
            // caller guarantees exclusive access.
            unsafe { *start.add(i * LANES) = x };
        }
    }

    /// Writes elements `first..` of a value, f16.
    ///
    /// # Safety
    /// As [`Self::write_key`].
    pub unsafe fn write_value(
        &self,
        layer: usize,
        head: usize,
        slot: usize,
        first: usize,
        value: &[u16],
    ) {
        assert!(first + value.len() <= self.head_dim);
        let ([_, start], at) = (self.head(layer, head), slot % PAGE);
        let start = self.pages[slot / PAGE].at(start);
        for (i, &x) in value.iter().enumerate() {
            let d = first + i;
            let offset = (d / LANES * PAGE + at) * LANES + d % LANES;
            // SAFETY: `d` is below `head_dim`, so this is within the head's values; the caller guarantees exclusive access.
            unsafe { *start.add(offset) = x };
        }
    }

    /// Copies keys and values of all layers from one slot to another.
    pub fn copy(&mut self, from: usize, to: usize) {
        for layer in 0..self.layers {
            for head in 0..self.kv_heads {
                for d in 0..self.head_dim {
                    // SAFETY: `key` and `value` check the page, and `&mut self` is exclusive access.
                    unsafe {
                        *self.key(layer, head, to, d) = *self.key(layer, head, from, d);
                        *self.value(layer, head, to, d) = *self.value(layer, head, from, d);
                    }
                }
            }
        }
    }
}
