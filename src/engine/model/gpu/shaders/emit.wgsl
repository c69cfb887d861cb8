// Activations of the next matrix product: f32, or bytes with a scale for every 32 columns.

struct Dims {
    cols: u32,
    // Vectors of an f32 row.
    vectors: u32,
    // Blocks of a quantised row.
    blocks: u32,
    // 1: f32, 2: bytes.
    forms: u32,
    // Length of an input row.
    stride: u32,
    head_dim: u32,
    heads: u32,
    eps: f32,
}

@group(1) @binding(0) var<storage, read> input: array<f32>;
@group(1) @binding(1) var<storage, read> weight: array<vec4<f32>>;
// [row][vectors]
@group(1) @binding(2) var<storage, read_write> dense: array<vec4<f32>>;
// [row][half of a block][block][16 bytes]
@group(1) @binding(3) var<storage, read_write> bytes: array<u32>;
// [row][block]: value of a step, and the sum of the quantised values.
@group(1) @binding(4) var<storage, read_write> info: array<vec2<f32>>;
@group(1) @binding(5) var<uniform> dims: Dims;

var<workgroup> largest: array<f32, 256>;
var<workgroup> sums: array<i32, 256>;

// Stores columns 4c..4c + 4 of a row. All threads of a workgroup call it, with consecutive c from a multiple of 8.
fn emit(row: u32, c: u32, id: u32, v: vec4<f32>) {
    let within = c < dims.vectors;
    if ((dims.forms & 1u) != 0u && within) {
        dense[row * dims.vectors + c] = v;
    }
    if ((dims.forms & 2u) == 0u) {
        return;
    }
    let size = abs(v);
    largest[id] = max(max(size.x, size.y), max(size.z, size.w));
    workgroupBarrier();
    let base = id & ~7u;
    var most = 0.0;
    for (var i = 0u; i < 8u; i++) {
        most = max(most, largest[base + i]);
    }
    var inverse = 0.0;
    if (most > 0.0) {
        inverse = 127.0 / most;
    }
    let q = clamp(vec4<i32>(round(v * inverse)), vec4<i32>(-127), vec4<i32>(127));
    sums[id] = q.x + q.y + q.z + q.w;
    workgroupBarrier();
    let block = c >> 3u;
    let word = c & 7u;
    if (block < dims.blocks) {
        let at = ((row * 2u + (word >> 2u)) * dims.blocks + block) * 4u + (word & 3u);
        bytes[at] = pack4xI8(q);
        if (word == 0u) {
            var sum = 0;
            for (var i = 0u; i < 8u; i++) {
                sum += sums[base + i];
            }
            let scale = most / 127.0;
            info[row * dims.blocks + block] = vec2<f32>(scale, scale * f32(sum));
        }
    }
    workgroupBarrier();
}
