//! Memory for weights.

use super::CACHE_LINE;
use crate::engine::{Result, memory};
use std::alloc::{Layout, alloc, dealloc};
use std::sync::Arc;

/// Max bytes of a slab. The first ones are smaller, so that small models take little memory.
const SLAB: usize = 64 << 20;
/// Size of a huge page, to which slabs are aligned.
const HUGE: usize = 2 << 20;

/// Allocates buffers that are aligned to cache lines and adjacent on huge pages: decoding reads all weights for every
/// token, and with pages of 4 kB it would stall on TLB misses.
#[derive(Default)]
pub struct Arena {
    slab: Option<Arc<Slab>>,
    used: usize,
    total: usize,
}

/// Memory of an arena, initially uninitialised.
struct Slab {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: a slab is only memory, and each part of it is accessed through the one buffer that owns it.
unsafe impl Send for Slab {}
// SAFETY: as for `Send`.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(size: usize) -> Result<Self> {
        let align = if size < HUGE { CACHE_LINE } else { HUGE };
        let fails = || memory::out_of_memory(size as u64, "a part of the weights");
        memory::check(size as u64, "a part of the weights")?;
        // A size that exceeds the limit of a layout exceeds any memory.
        let layout = Layout::from_size_align(size.max(CACHE_LINE), align).map_err(|_| fails())?;
        // SAFETY: the size of the layout is not 0.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            return Err(fails());
        }
        #[cfg(target_os = "linux")]
        if size >= HUGE {
            // SAFETY: the range lies within this allocation, and the advice changes no contents. If it fails, reading is
            // only slower.
            unsafe { libc::madvise(start.cast(), size / HUGE * HUGE, libc::MADV_HUGEPAGE) };
        }
        Ok(Self { start, layout })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout, and each buffer holds a reference to the slab, so none is left.
        unsafe { dealloc(self.start, self.layout) };
    }
}

impl Arena {
    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::engine::Error::OutOfMemory) if the memory cannot be allocated.
    pub fn zeros(&mut self, len: usize) -> Result<Buffer> {
        let size = len.next_multiple_of(CACHE_LINE);
        let room = self
            .slab
            .as_ref()
            .map_or(0, |slab| slab.layout.size() - self.used);
        if size > room || self.slab.is_none() {
            let slab = Slab::new(size.max(self.total.clamp(HUGE / 32, SLAB)))?;
            self.total += slab.layout.size();
            self.slab = Some(Arc::new(slab));
            self.used = 0;
        }
        let Some(slab) = self.slab.clone() else {
            unreachable!("a slab was made above")
        };
        // SAFETY: the slab has `size` bytes left after `used`.
        let start = unsafe { slab.start.add(self.used) };
        // SAFETY: these `size` bytes lie within the slab, and no buffer owns them yet.
        unsafe { start.write_bytes(0, size) };
        self.used += size;
        Ok(Buffer {
            start,
            len,
            _slab: slab,
        })
    }
}

/// Bytes of an arena, owned exclusively.
pub struct Buffer {
    start: *mut u8,
    len: usize,
    _slab: Arc<Slab>,
}

// SAFETY: a buffer is the only owner of its part of the slab.
unsafe impl Send for Buffer {}
// SAFETY: as for `Send`; shared access is read-only.
unsafe impl Sync for Buffer {}

impl std::ops::Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `Arena::zeros` initialised the bytes, and `_slab` keeps them allocated.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` is exclusive access to this part.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_disjoint_and_aligned() {
        let mut arena = Arena::default();
        let sizes = [1, 64, 65, 0, 100_000, 5 << 20, 3];
        let mut buffers: Vec<Buffer> = sizes
            .iter()
            .map(|&size| arena.zeros(size).unwrap())
            .collect();
        drop(arena);
        for (i, buffer) in buffers.iter_mut().enumerate() {
            assert!(
                (buffer.as_ptr() as usize).is_multiple_of(CACHE_LINE)
                    && buffer.iter().all(|&x| x == 0)
            );
            buffer.fill(i as u8 + 1);
        }
        for (i, (buffer, size)) in buffers.iter().zip(sizes).enumerate() {
            assert!(buffer.len() == size && buffer.iter().all(|&x| x == i as u8 + 1));
        }
    }
}
