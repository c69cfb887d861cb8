//! Which vector instructions are used.

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::simd::{Portable, Simd};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};

/// A level of SIMD. All give the same bits; they differ in speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A kernel with its arguments, written once for all levels.
pub trait Kernel {
    type Output;
    /// # Safety
    /// The machine has level `S`, and the kernel's own conditions hold.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

impl Level {
    /// No vector instructions.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The best level of this machine, or the one that the environment variable `SKIPLENS_SIMD` names
    /// (`portable`, `avx2`, `avxvnni`, `avx512`, `neon`) if this machine has it.
    pub fn detect() -> Self {
        let levels = Self::available();
        let wanted = std::env::var("SKIPLENS_SIMD").unwrap_or_default();
        let best = levels.last().copied().unwrap_or(Self::PORTABLE);
        levels
            .into_iter()
            .find(|level| level.name() == wanted)
            .unwrap_or(best)
    }

    /// All levels of this machine, the slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::PORTABLE];
        #[cfg(target_arch = "aarch64")]
        levels.push(Self(Kind::Neon));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            levels.push(Self(Kind::Avx2));
            if is_x86_feature_detected!("avxvnni") {
                levels.push(Self(Kind::AvxVnni));
            }
            let has_vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if has_vnni {
                levels.push(Self(Kind::Avx512));
            }
        }
        levels
    }

    /// The name that `SKIPLENS_SIMD` knows it by.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Kind::AvxVnni => "avxvnni",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
        }
    }

    /// Runs a kernel with this level's instructions.
    ///
    /// # Safety
    /// The kernel's own conditions hold. (Levels exist only where the machine has them.)
    pub(super) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Avx2<false>>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        unsafe fn avxvnni<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Avx2<true>>() }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vnni")]
        unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Avx512>() }
        }
        // SAFETY: the caller's, and `available` saw to the instructions.
        unsafe {
            match self.0 {
                Kind::Portable => kernel.run::<Portable>(),
                #[cfg(target_arch = "aarch64")]
                Kind::Neon => kernel.run::<Neon>(),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx2 => avx2(kernel),
                #[cfg(target_arch = "x86_64")]
                Kind::AvxVnni => avxvnni(kernel),
                #[cfg(target_arch = "x86_64")]
                Kind::Avx512 => avx512(kernel),
            }
        }
    }
}
