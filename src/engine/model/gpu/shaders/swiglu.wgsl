// silu(gate) * up. `input` is [row][gate, up]; a workgroup processes 1024 columns of a row.

fn value(row: u32, col: u32) -> f32 {
    if (col >= dims.cols) {
        return 0.0;
    }
    let gate = input[row * dims.stride + col];
    let up = input[row * dims.stride + dims.cols + col];
    return gate / (1.0 + exp(-gate)) * up;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let row = group.y;
    let c = group.x * 256u + id;
    let col = c * 4u;
    emit(row, c, id, vec4<f32>(
        value(row, col), value(row, col + 1u), value(row, col + 2u), value(row, col + 3u)));
}
