// RMSNorm of a state. A workgroup writes 1024 columns; each one sums the squares of the whole row.

// Columns that a thread loads before it uses them.
const LOADS = 8u;

var<workgroup> squares: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let start = rows[batch.first + group.y].state * dims.stride;
    let c = group.x * 256u + id;
    var v = vec4<f32>();
    if (c < dims.vectors) {
        let x = start + c * 4u;
        v = vec4<f32>(states[x], states[x + 1u], states[x + 2u], states[x + 3u]);
    }
    var sum = 0.0;
    for (var col = id; col < dims.cols; col += 256u * LOADS) {
        var x: array<f32, LOADS>;
        for (var j = 0u; j < LOADS; j++) {
            let at = col + j * 256u;
            x[j] = select(0.0, states[start + min(at, dims.cols - 1u)], at < dims.cols);
        }
        for (var j = 0u; j < LOADS; j++) {
            sum = fma(x[j], x[j], sum);
        }
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
    if (c < dims.vectors) {
        v = v * scale * weight[c];
    }
    emit(group.y, c, id, v);
}
