//! Which vector instructions are used.

use super::simd::{Portable, Simd};

/// A level of SIMD. All give the same bits; they differ in speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Portable,
}

/// A kernel with its arguments, written once for all levels.
pub trait Kernel {
    type Output;
    /// # Safety
    /// The machine has level `S`, and the kernel's own conditions hold.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

impl Level {
    /// The best level of this machine, or the one that the environment variable `SKIPLENS_SIMD` names
    /// (`portable`, `avx2`, `avx512`, `neon`) if this machine has it.
    pub fn detect() -> Self {
        let best = Self::available();
        let forced = std::env::var("SKIPLENS_SIMD").ok();
        forced.and_then(|name| best.iter().copied().find(|level| level.name() == name)).unwrap_or(best[best.len() - 1])
    }

    /// All levels of this machine, the slowest first.
    pub fn available() -> Vec<Self> {
        vec![Self::Portable]
    }

    /// The name that `SKIPLENS_SIMD` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
        }
    }

    /// Runs a kernel with this level's instructions.
    ///
    /// # Safety
    /// This level is among [`Level::available`], and the kernel's own conditions hold.
    pub(crate) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            // SAFETY: the caller's.
            Self::Portable => unsafe { kernel.run::<Portable>() },
        }
    }
}
