//! Selection of the instruction set for kernels.

#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::{Simd, portable::Portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use std::sync::LazyLock;

/// An instruction set that this machine supports. All give the same bits and differ only in speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Kind);

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

/// A kernel with its arguments, written once for all instruction sets.
pub trait Kernel {
    /// The result of the kernel.
    type Output;

    /// # Safety
    /// The CPU supports `S`, and the kernel's own conditions hold.
    unsafe fn run<S: Simd>(self) -> Self::Output;
}

impl Isa {
    /// No explicit vector instructions.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// The fastest instruction set of this machine, or the one that the environment variable `SKIPLENS_SIMD` names
    /// (`portable`, `avx2`, `avxvnni`, `avx512`, `neon`) if the machine supports it. Read once.
    pub fn detect() -> Self {
        static DETECTED: LazyLock<Isa> = LazyLock::new(|| {
            let available = Isa::available();
            let wanted = std::env::var("SKIPLENS_SIMD").unwrap_or_default();
            let fastest = available.last().copied().unwrap_or(Isa::PORTABLE);
            let named = available.into_iter().find(|isa| isa.name() == wanted);
            named.unwrap_or(fastest)
        });
        *DETECTED
    }

    /// All instruction sets of this machine, slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "aarch64")]
        all.push(Self(Kind::Neon));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            all.push(Self(Kind::Avx2));
            if is_x86_feature_detected!("avxvnni") {
                all.push(Self(Kind::AvxVnni));
            }
            let has_vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if has_vnni {
                all.push(Self(Kind::Avx512));
            }
        }
        all
    }

    /// Its name in `SKIPLENS_SIMD`.
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

    /// Runs a kernel with these instructions.
    ///
    /// # Safety
    /// The kernel's own conditions hold. The existence of `self` proves that the CPU supports the instructions.
    pub(in crate::engine) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        /// # Safety
        /// The CPU supports AVX2, FMA and F16C, and the kernel's conditions hold.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        unsafe fn avx2<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: this function's features are those of `Avx2`; its caller guarantees the kernel's conditions.
            unsafe { kernel.run::<Avx2<false>>() }
        }
        /// # Safety
        /// The CPU supports AVX2, FMA, F16C and AVX-VNNI, and the kernel's conditions hold.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        unsafe fn avxvnni<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: this function's features are those of `Avx2<true>`; its caller guarantees the kernel's conditions.
            unsafe { kernel.run::<Avx2<true>>() }
        }
        /// # Safety
        /// The CPU supports AVX-512 F, BW and VNNI, and the kernel's conditions hold.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vnni")]
        unsafe fn avx512<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: this function's features are those of `Avx512`; its caller guarantees the kernel's conditions.
            unsafe { kernel.run::<Avx512>() }
        }
        // SAFETY: `available` returns an `Isa` only if the CPU supports it, and the caller guarantees the kernel's
        // conditions.
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
