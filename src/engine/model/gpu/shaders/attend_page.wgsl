// Attention over a single page. The results are those of the kernels for several pages, in all bits. `input` holds the
// queries, [row][head][pair].

@group(3) @binding(0) var<uniform> heads: Heads;

fn query(i: u32) -> vec2<f32> {
    return vec2<f32>(input[i * 2u], input[i * 2u + 1u]);
}

fn result(i: u32) -> f32 {
    return scores[i] / totals[i / DIM];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    attend(group.y, 0u, group.x, id);
    // The other threads have no columns.
    var c = 0xfffffff8u;
    var v = vec4<f32>();
    if (id < GROUP * DIM / 4u) {
        let i = id * 4u;
        c = group.x * (GROUP * DIM / 4u) + id;
        v = vec4<f32>(result(i), result(i + 1u), result(i + 2u), result(i + 3u));
    }
    emit(group.y, c, id, v);
}
