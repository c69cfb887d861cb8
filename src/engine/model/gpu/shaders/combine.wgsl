// Combines the partial results of attention over pages (as in flash-decoding). `input` is
// [row][head][page][maximum, sum, output...]; a workgroup processes 1024 columns of a row.

fn value(row: u32, col: u32) -> f32 {
    if (col >= dims.cols) {
        return 0.0;
    }
    let pages = rows[batch.first + row].position / 256u + 1u;
    let size = dims.head_dim + 2u;
    let start = (row * dims.heads + col / dims.head_dim) * batch.pages * size;
    let d = col % dims.head_dim + 2u;
    var most = input[start];
    for (var page = 1u; page < pages; page++) {
        most = max(most, input[start + page * size]);
    }
    // A single page has the weight 1.
    var weight = select(exp(input[start] - most), 1.0, pages == 1u);
    var sum = weight * input[start + d];
    var total = weight * input[start + 1u];
    for (var page = 1u; page < pages; page++) {
        let at = start + page * size;
        weight = exp(input[at] - most);
        sum = fma(weight, input[at + d], sum);
        total = fma(weight, input[at + 1u], total);
    }
    return sum / total;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let row = group.y;
    let c = group.x * 256u + id;
    let col = c * 4u;
    emit(row, c, id, vec4<f32>(
        value(row, col), value(row, col + 1u), value(row, col + 2u), value(row, col + 3u)));
}
