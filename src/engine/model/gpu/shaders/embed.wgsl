// The embedding of the tokens of rows. One thread per unit of a row.

@group(1) @binding(2) var<storage, read> tokens: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let token = tokens[batch.first + id.y];
    // A large table is divided into parts; the token is in one of them.
    if (id.x >= dims.units || token < dims.out_first || token >= dims.out_first + dims.rows) {
        return;
    }
    let start = rows[batch.first + id.y].state * dims.out_stride + id.x * UNIT;
    write_unit(token - dims.out_first, id.x, start);
}
