//! WGSL source of the kernels. Matrix products are generated for every layout and number of rows.

mod product;

use super::layout::{Layout, Scales};
pub use product::Tile;
use product::multiply;

/// Threads of a team; they share a weight row.
const TEAM: usize = 32;
/// Max activation rows per team. A kernel for more rows has more teams, which read the same weights at about the same
/// time, so from cache.
pub const TEAM_ROWS: usize = 16;
/// Buffers of a large matrix hold a multiple of this many rows: whole workgroups of any [`Tile`].
pub const GROUP_ROWS: usize = 64;
/// Row counts for which a matrix product kernel is generated.
pub const ROW_COUNTS: [usize; 7] = [1, 2, 4, 8, TEAM_ROWS, 32, 64];
/// Max pairs of elements in the query heads of an attention workgroup, which bounds its memory to 16 KiB.
const MAX_QUERIES: usize = 256;
/// Max query heads per attention workgroup.
const MAX_GROUP: usize = 8;

/// Workgroups of [`Kernel::Read`], and the bytes that their threads load before they use them.
pub const READ_GROUPS: usize = 1024;
pub const READ_BYTES: u64 = (READ_GROUPS * 256 * READ_LOADS * 16) as u64;
const READ_LOADS: usize = 8;

/// A kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Multiplies up to `rows` rows of activations.
    Multiply {
        layout: Layout,
        rows: usize,
        /// Adds the result to the states instead of storing it.
        add: bool,
        tile: Tile,
    },
    Embed(Layout),
    Norm,
    Swiglu,
    Combine,
    Rope,
    /// Attention over a page at a time, which [`Self::Combine`] continues.
    Attend {
        head_dim: usize,
        group: usize,
    },
    /// Attention where all rows are in the first page.
    AttendPage {
        head_dim: usize,
        group: usize,
    },
    /// Samples a draft token, with these filters in addition to min-p.
    Choose {
        top_k: bool,
        top_p: bool,
    },
    MoveCache,
    MoveStates,
    /// Reads a buffer, to measure the bandwidth.
    Read,
    /// Random bits and Gumbel noise of tokens, for tests.
    #[cfg(test)]
    Noise,
}

/// How the dot product of four bytes by four bytes is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dot {
    /// In integers, with an instruction if the device has one.
    Packed,
    /// In floats. The bits are the same, since the sums are integers below 2^24.
    Float,
}

/// The source of a kernel.
pub fn source(kernel: Kernel, dot: Dot) -> String {
    let common = include_str!("shaders/common.wgsl");
    let weights = include_str!("shaders/weights.wgsl");
    let emit = include_str!("shaders/emit.wgsl");
    let cache = include_str!("shaders/cache.wgsl");
    let noise = include_str!("shaders/noise.wgsl");
    let with = |parts: &[&str]| [&[common][..], parts].concat().join("\n");
    match kernel {
        Kernel::Multiply {
            layout,
            rows,
            add,
            tile,
        } => with(&[
            weights,
            &load_unit(layout),
            &multiply(layout, rows, add, tile, dot),
        ]),
        Kernel::Embed(layout) => with(&[
            weights,
            &load_unit(layout),
            &write_unit(layout),
            include_str!("shaders/embed.wgsl"),
        ]),
        Kernel::Norm => with(&[emit, include_str!("shaders/norm.wgsl")]),
        Kernel::Swiglu => with(&[emit, include_str!("shaders/swiglu.wgsl")]),
        Kernel::Combine => with(&[emit, include_str!("shaders/combine.wgsl")]),
        Kernel::Rope => with(&[cache, include_str!("shaders/rope.wgsl")]),
        Kernel::Attend { head_dim, group } => with(&[
            cache,
            &attention(head_dim, group),
            include_str!("shaders/attend_pages.wgsl"),
        ]),
        Kernel::AttendPage { head_dim, group } => with(&[
            emit,
            cache,
            &attention(head_dim, group),
            include_str!("shaders/attend_page.wgsl"),
        ]),
        Kernel::Choose { top_k, top_p } => {
            let constants = format!("const TOP_K = {top_k};\nconst TOP_P = {top_p};\n");
            with(&[noise, &constants, include_str!("shaders/choose.wgsl")])
        }
        Kernel::MoveCache => with(&[cache, include_str!("shaders/move_cache.wgsl")]),
        Kernel::MoveStates => with(&[include_str!("shaders/move_states.wgsl")]),
        Kernel::Read => {
            let constants = format!(
                "const THREADS = {}u;\nconst LOADS = {READ_LOADS}u;\n",
                READ_GROUPS * 256
            );
            with(&[&constants, include_str!("shaders/read.wgsl")])
        }
        #[cfg(test)]
        Kernel::Noise => with(&[noise, include_str!("shaders/noise_test.wgsl")]),
    }
}

fn attention(head_dim: usize, group: usize) -> String {
    let pairs = head_dim / 2;
    // A power of two, so that the positions of a page divide into parts and loads.
    let parts = 1 << (256 / pairs).clamp(1, 8).ilog2();
    let loads = 1 << pairs.trailing_zeros().min(4);
    let body = include_str!("shaders/attend.wgsl");
    format!(
        "const PAIRS = {pairs}u;\nconst GROUP = {group}u;\nconst PARTS = {parts}u;\nconst LOADS = {loads}u;\n\n{body}"
    )
}

/// Whether [`Kernel::AttendPage`] can quantise its results: in whole blocks of 32 columns.
pub fn attends_in_one(head_dim: usize, group: usize) -> bool {
    head_dim.is_multiple_of(4) && (head_dim * group).is_multiple_of(32)
}

/// Number of query heads per attention workgroup, of the `heads` that share a key-value head.
pub fn attention_group(heads: usize, head_dim: usize) -> usize {
    let max = (MAX_QUERIES / (head_dim / 2)).clamp(1, MAX_GROUP);
    (1..=max.min(heads))
        .rev()
        .find(|group| heads.is_multiple_of(*group))
        .unwrap_or(1)
}

/// `load_unit(row, unit)`: signed bytes or floats of a unit, with their scales.
fn load_unit(layout: Layout) -> String {
    if layout.is_dense() {
        return load_dense(layout);
    }
    let numbers = match layout.bits() {
        8 => {
            "    let at = row * 2u * dims.units + unit;
    block.low = quants[at];
    block.high = quants[at + dims.units];\n"
        }
        _ => {
            "    let nibbles = quants[row * dims.units + unit];
    block.low = nibbles & vec4<u32>(0x0f0f0f0fu);
    block.high = (nibbles >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);\n"
        }
    };
    let high = match layout.bits() {
        5 => {
            "    let bits = vec4<u32>(extra[row * dims.high_stride + unit]);
    block.low |= ((bits >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(0x01010101u)) << vec4<u32>(4u);
    block.high |= ((bits >> vec4<u32>(4u, 5u, 6u, 7u)) & vec4<u32>(0x01010101u)) << vec4<u32>(4u);\n"
        }
        6 => {
            "    let bits_at = row * dims.high_stride + unit * 2u;
    let shifts = vec4<u32>(0u, 2u, 4u, 6u);
    block.low |= ((vec4<u32>(extra[bits_at]) >> shifts) & vec4<u32>(0x03030303u)) << vec4<u32>(4u);
    block.high |= ((vec4<u32>(extra[bits_at + 1u]) >> shifts) & vec4<u32>(0x03030303u)) << vec4<u32>(4u);\n"
        }
        _ => "",
    };
    // Subtracts the zero point byte by byte: no byte overflows before its top bit is flipped.
    let zero = match layout.zero() {
        0 => String::new(),
        zero => {
            let add = (128 - zero) * 0x0101_0101;
            format!(
                "    block.low = (block.low + vec4<u32>({add}u)) ^ vec4<u32>(0x80808080u);
    block.high = (block.high + vec4<u32>({add}u)) ^ vec4<u32>(0x80808080u);\n"
            )
        }
    };
    let scales = match layout.scales() {
        Scales::None => "",
        Scales::Single => {
            "    let pair = unpack2x16float(extra[dims.scale_at + row * dims.scale_stride + (unit >> 1u)]);
    block.scale = select(pair.xx, pair.yy, (unit & 1u) == 1u);\n"
        }
        Scales::WithMin => {
            "    let pair = unpack2x16float(extra[dims.scale_at + row * dims.scale_stride + unit]);
    block.scale = pair.xx;
    block.least = pair.y;\n"
        }
        Scales::SuperWithMin => {
            "    let base = unpack2x16float(extra[dims.base_at + row * dims.base_stride + (unit >> 3u)]);
    let factors = extra[dims.scale_at + row * dims.scale_stride + (unit >> 1u)] >> ((unit & 1u) * 16u);
    block.scale = vec2<f32>(base.x * f32(factors & 0xffu));
    block.least = base.y * f32((factors >> 8u) & 0xffu);\n"
        }
        Scales::SuperHalves => {
            "    let base = unpack2x16float(extra[dims.base_at + row * dims.base_stride + (unit >> 3u)]);
    let factors = i32(extra[dims.scale_at + row * dims.scale_stride + (unit >> 1u)] >> ((unit & 1u) * 16u));
    block.scale = base.x * vec2<f32>(f32(extractBits(factors, 0u, 8u)), f32(extractBits(factors, 8u, 8u)));\n"
        }
    };
    format!(
        "struct Unit {{
    // Columns 0 to 15 and 16 to 31 as signed bytes, and the scales of both halves.
    low: vec4<u32>,
    high: vec4<u32>,
    scale: vec2<f32>,
    least: f32,
}}

fn load_unit(row: u32, unit: u32) -> Unit {{
    var block: Unit;
{numbers}{high}{zero}{scales}    return block;
}}
"
    )
}

fn load_dense(layout: Layout) -> String {
    let body = match layout {
        Layout::F32 => {
            "    let at = row * 2u * dims.units + unit;
    block.low = bitcast<vec4<f32>>(quants[at]);
    block.high = bitcast<vec4<f32>>(quants[at + dims.units]);"
        }
        Layout::F16 => {
            "    let v = quants[row * dims.units + unit];
    block.low = vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y));
    block.high = vec4<f32>(unpack2x16float(v.z), unpack2x16float(v.w));"
        }
        _ => {
            "    let v = quants[row * dims.units + unit];
    let even = bitcast<vec4<f32>>(v << vec4<u32>(16u));
    let odd = bitcast<vec4<f32>>(v & vec4<u32>(0xffff0000u));
    block.low = vec4<f32>(even.x, odd.x, even.y, odd.y);
    block.high = vec4<f32>(even.z, odd.z, even.w, odd.w);"
        }
    };
    format!(
        "struct Unit {{
    low: vec4<f32>,
    high: vec4<f32>,
}}

fn load_unit(row: u32, unit: u32) -> Unit {{
    var block: Unit;
{body}
    return block;
}}
"
    )
}

/// `write_unit(row, unit, start)`: writes the weights of a unit to the states from `start`.
fn write_unit(layout: Layout) -> String {
    let store = if layout.is_dense() {
        "    for (var i = 0u; i < 4u; i++) {
        states[start + i] = block.low[i];
        states[start + 4u + i] = block.high[i];
    }"
        .to_owned()
    } else {
        let least = match layout.scales() {
            Scales::WithMin | Scales::SuperWithMin => " + block.least",
            _ => "",
        };
        format!(
            "    for (var i = 0u; i < 4u; i++) {{
        let low = vec4<f32>(unpack4xI8(block.low[i])) * block.scale.x{least};
        let high = vec4<f32>(unpack4xI8(block.high[i])) * block.scale.y{least};
        for (var j = 0u; j < 4u; j++) {{
            states[start + i * 4u + j] = low[j];
            states[start + 16u + i * 4u + j] = high[j];
        }}
    }}"
        )
    };
    let unit = layout.unit();
    format!(
        "const UNIT = {unit}u;

fn write_unit(row: u32, unit: u32, start: u32) {{
    var block = load_unit(row, unit);
{store}
}}
"
    )
}
