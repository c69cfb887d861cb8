//! How fast the team reads memory: the bound of decoding, which reads every weight once a token.

use super::{Level, Team, level::Kernel, simd::Simd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Bytes read in one measurement; more than caches hold.
const SIZE: usize = 256 << 20;
const PIECE: usize = 256 << 10;

/// Bytes a second that the team reads from memory: the best of `times` passes.
pub fn read_bandwidth(team: &Team, level: Level, times: usize) -> f64 {
    let data = vec![1u64; SIZE / 8];
    let pass = || {
        let (start, total) = (Instant::now(), AtomicU64::new(0));
        team.run(&|crew| {
            crew.share(SIZE, PIECE, |piece| {
                // SAFETY: the kernel is safe code.
                let sum = unsafe { level.run(Sum(&data[piece.start / 8..piece.end / 8])) };
                total.fetch_add(sum, Relaxed);
            });
        });
        std::hint::black_box(total);
        SIZE as f64 / start.elapsed().as_secs_f64()
    };
    (0..times.max(1)).map(|_| pass()).fold(0.0, f64::max)
}

struct Sum<'a>(&'a [u64]);

impl Kernel for Sum<'_> {
    type Output = u64;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> u64 {
        let mut sums = [0u64; 32];
        for chunk in self.0.as_chunks::<32>().0 {
            for i in 0..32 {
                sums[i] = sums[i].wrapping_add(chunk[i]);
            }
        }
        sums.iter().fold(0, |a, b| a.wrapping_add(*b))
    }
}
