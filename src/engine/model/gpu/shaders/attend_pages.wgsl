// Attention over several pages: partial results, which another kernel combines.

// [row][head][pair]
@group(1) @binding(0) var<storage, read> q: array<vec2<f32>>;
// [row][head][page][maximum, sum, output...]
@group(1) @binding(1) var<storage, read_write> partials: array<f32>;
@group(1) @binding(2) var<uniform> heads: Heads;

fn query(i: u32) -> vec2<f32> {
    return q[i];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    attend(group.y, group.z, group.x, id);
    let result = ((group.y * heads.heads + group.x * GROUP) * batch.pages + group.z) * (DIM + 2u);
    let stride = batch.pages * (DIM + 2u);
    if (id < GROUP) {
        partials[result + id * stride] = maxima[id];
        partials[result + id * stride + 1u] = totals[id];
    }
    for (var i = id; i < GROUP * DIM; i += 256u) {
        partials[result + i / DIM * stride + 2u + i % DIM] = scores[i];
    }
}
