// Moves states from row to row, in order. One thread per column.

struct Dims {
    stride: u32,
    pad0: u32,
    pad1: u32,
    pad2: u32,
}

// From and to, as slots.
@group(1) @binding(0) var<storage, read> moves: array<vec2<u32>>;
@group(1) @binding(1) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= dims.stride) {
        return;
    }
    for (var i = 0u; i < batch.n; i++) {
        let at = moves[i] - vec2<u32>(batch.kept);
        states[at.y * dims.stride + id.x] = states[at.x * dims.stride + id.x];
    }
}
