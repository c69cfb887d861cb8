//! How fast the team reads memory: the bound of decoding, which reads every weight once a token.

use super::{Arena, Level, Team, level::Kernel, simd::Simd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Bytes read in one measurement; more than caches hold.
const SIZE: usize = 256 << 20;
const PIECE: usize = 256 << 10;
/// Bytes by which memory is asked for before it is needed, as the products do.
const AHEAD: usize = 8 << 10;

/// Bytes a second that the team reads from memory: the best of `times` passes. None where there is no memory to read.
pub fn read_bandwidth(team: &Team, level: Level, times: usize) -> Option<f64> {
    let mut data = Arena::default().zeros(SIZE).ok()?;
    data.fill(1);
    let pass = || {
        let (start, total) = (Instant::now(), AtomicU64::new(0));
        team.run(&|crew| {
            crew.share(SIZE, PIECE, |piece| {
                // SAFETY: the kernel reads within its slice.
                let sum = unsafe { level.run(Sum(&data[piece])) };
                total.fetch_add(u64::from(sum.to_bits()), Relaxed);
            });
        });
        std::hint::black_box(total);
        SIZE as f64 / start.elapsed().as_secs_f64()
    };
    Some((0..times.max(1)).map(|_| pass()).fold(0.0, f64::max))
}

/// Adds up all bytes as if they were f32, a multiple of 256 of them.
struct Sum<'a>(&'a [u8]);

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> f32 {
        // SAFETY: within the slice.
        unsafe {
            let mut sums = [S::splat(0.0); 4];
            for chunk in self.0.as_chunks::<256>().0 {
                (0..256)
                    .step_by(64)
                    .for_each(|at| S::prefetch(chunk.as_ptr().wrapping_add(AHEAD + at)));
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
