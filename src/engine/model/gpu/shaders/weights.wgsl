struct Dims {
    rows: u32,
    units: u32,
    // First output column, and length of an output row or of a state.
    out_first: u32,
    out_stride: u32,
    // Offsets and row lengths in `extra`.
    high_stride: u32,
    scale_at: u32,
    scale_stride: u32,
    base_at: u32,
    base_stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

@group(1) @binding(0) var<storage, read> quants: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read> extra: array<u32>;
@group(1) @binding(5) var<uniform> dims: Dims;
