//! Matrix products with dense weights.

use super::activations::ActivationsView;
use super::{LANES, Packed, simd::Simd};

/// Prefetch distance for weights, in columns.
const PREFETCH_COLUMNS: usize = 128;

/// A dense layout as a type.
pub trait Dense {
    /// Bytes of a weight.
    const BYTES: usize;

    /// Column `col` of a panel.
    ///
    /// # Safety
    /// The CPU supports `S`, and the panel that begins at `data` has that column.
    unsafe fn load<S: Simd>(data: *const u8, col: usize) -> S::F;
}

macro_rules! dense {
    ($($name:ident: $element:ty, $load:ident;)*) => {$(
        #[doc = concat!("[`Layout::", stringify!($name), "`](super::layout::Layout::", stringify!($name), ") as a type.")]
        pub struct $name;

        impl Dense for $name {
            const BYTES: usize = size_of::<$element>();

            #[inline(always)]
            unsafe fn load<S: Simd>(data: *const u8, col: usize) -> S::F {
                // SAFETY: the caller guarantees the instruction set and the column, whose 16 elements are adjacent.
                unsafe { S::$load(data.cast::<$element>().add(col * LANES)) }
            }
        }
    )*};
}

dense! {
    F32: f32, load;
    F16: u16, load_f16;
    Bf16: u16, load_bf16;
}

/// As [`super::tile`] for dense weights. Even and odd columns are summed separately, which halves the chain of dependent
/// additions.
///
/// # Safety
/// The CPU supports `S`, `W` is the type of the layout of `w`, and `acts` holds `M` rows from `first` that no thread
/// writes during the call.
#[inline(always)]
pub unsafe fn dense_tile<S: Simd, const M: usize, W: Dense>(
    w: &Packed,
    panel: usize,
    acts: &ActivationsView,
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let cols = w.cols;
    // SAFETY: the caller guarantees the rows and the layout; columns stay below `cols`, which panels and rows have.
    unsafe {
        let x = acts.dense.slice(first * cols, M * cols).as_ptr();
        let data = w.panel(panel);
        let mut sums = [[S::splat(0.0); 2]; M];
        for col in (0..cols - cols % 2).step_by(2) {
            let bytes = LANES * W::BYTES;
            S::prefetch(data.wrapping_add((col + PREFETCH_COLUMNS) * bytes));
            S::prefetch(data.wrapping_add((col + PREFETCH_COLUMNS + 1) * bytes));
            let pair = [W::load::<S>(data, col), W::load::<S>(data, col + 1)];
            for (row, sum) in sums.iter_mut().enumerate() {
                let x = x.add(row * cols + col);
                sum[0] = S::fma(pair[0], S::splat(*x), sum[0]);
                sum[1] = S::fma(pair[1], S::splat(*x.add(1)), sum[1]);
            }
        }
        for (row, (out, mut sum)) in out.iter_mut().zip(sums).enumerate() {
            if cols % 2 == 1 {
                sum[0] = S::fma(
                    W::load::<S>(data, cols - 1),
                    S::splat(*x.add(row * cols + cols - 1)),
                    sum[0],
                );
            }
            S::store(out.as_mut_ptr(), S::add(sum[0], sum[1]));
        }
    }
}
