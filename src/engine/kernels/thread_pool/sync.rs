//! Synchronisation primitives of the pool. The model check in `tools/loom` compiles [`phases`](super::phases),
//! [`work_range`](super::work_range) and [`handoff`](super::handoff) against loom's versions of these.

pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Number of spins before yielding the core: with more threads than cores, the awaited thread may need it.
const SPINS: usize = 2000;

/// Waits until `ready`: spins first, then yields.
pub fn wait_until(ready: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if ready() {
            return;
        }
        std::hint::spin_loop();
    }
    while !ready() {
        std::thread::yield_now();
    }
}

/// A cell that threads access in turns.
#[derive(Default)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Calls `f` with a pointer for reading.
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer for writing.
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
