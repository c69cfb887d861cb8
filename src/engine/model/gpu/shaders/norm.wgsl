// RMSNorm of a state. One workgroup per row.

var<workgroup> squares: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let start = rows[batch.first + group.x].state * dims.stride;
    var sum = 0.0;
    for (var col = id; col < dims.cols; col += 256u) {
        let x = states[start + col];
        sum = fma(x, x, sum);
    }
    squares[id] = sum;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half >>= 1u) {
        if (id < half) {
            squares[id] += squares[id + half];
        }
        workgroupBarrier();
    }
    let scale = inverseSqrt(squares[0] / f32(dims.cols) + dims.eps);
    for (var c = 0u; c < dims.vectors; c += 256u) {
        let at = c + id;
        var v = vec4<f32>();
        if (at < dims.vectors) {
            let x = start + at * 4u;
            v = vec4<f32>(states[x], states[x + 1u], states[x + 2u], states[x + 3u]);
            v = v * scale * weight[at];
        }
        emit(group.x, at, id, v);
    }
}
