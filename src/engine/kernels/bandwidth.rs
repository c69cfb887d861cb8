//! Memory read bandwidth of the thread pool. It bounds the speed of decoding, which reads every weight once per token.

use super::simd::{Isa, Kernel, Simd};
use super::{Arena, ThreadPool};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Bytes read per pass; larger than the caches.
const SIZE: usize = 256 << 20;
const PIECE: usize = 256 << 10;
/// Prefetch distance in bytes, as in matrix products.
const PREFETCH_BYTES: usize = 8 << 10;

/// Bytes per second that the pool reads from memory: the best of `times` passes. `None` if the buffer cannot be
/// allocated.
pub fn read_bandwidth(pool: &ThreadPool, isa: Isa, times: usize) -> Option<f64> {
    let mut data = Arena::default().zeros(SIZE).ok()?;
    data.fill(1);
    let pass = || {
        let (start, total) = (Instant::now(), AtomicU64::new(0));
        pool.run(&|worker| {
            worker.parallel_for(SIZE, PIECE, |piece| {
                // SAFETY: the kernel has no conditions: it stays within its slice.
                let sum = unsafe { isa.run(Sum(&data[piece])) };
                total.fetch_add(u64::from(sum.to_bits()), Relaxed);
            });
        });
        std::hint::black_box(total);
        SIZE as f64 / start.elapsed().as_secs_f64()
    };
    Some((0..times.max(1)).map(|_| pass()).fold(0.0, f64::max))
}

/// Sums all bytes as f32; their number is a multiple of 256.
struct Sum<'a>(&'a [u8]);

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        // SAFETY: the caller guarantees the instruction set; all loads lie within a chunk.
        unsafe {
            let mut sums = [S::splat(0.0); 4];
            for chunk in self.0.as_chunks::<256>().0 {
                (0..256)
                    .step_by(64)
                    .for_each(|at| S::prefetch(chunk.as_ptr().wrapping_add(PREFETCH_BYTES + at)));
                let p = chunk.as_ptr().cast::<f32>();
                sums[0] = S::add(sums[0], S::load(p));
                sums[1] = S::add(sums[1], S::load(p.add(16)));
                sums[2] = S::add(sums[2], S::load(p.add(32)));
                sums[3] = S::add(sums[3], S::load(p.add(48)));
            }
            let mut out = [0.0; 16];
            S::store(
                out.as_mut_ptr(),
                S::add(S::add(sums[0], sums[1]), S::add(sums[2], sums[3])),
            );
            out[0]
        }
    }
}
