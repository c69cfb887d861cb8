// Moves keys and values from slot to slot, in order. One thread per pair of elements of a head.

struct Dims {
    kv_heads: u32,
    pairs: u32,
    pad0: u32,
    pad1: u32,
}

// From and to.
@group(1) @binding(0) var<storage, read> moves: array<vec2<u32>>;
@group(1) @binding(1) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = id.x / dims.pairs;
    let pair = id.x % dims.pairs;
    if (head >= dims.kv_heads) {
        return;
    }
    for (var i = 0u; i < batch.n; i++) {
        let slots = moves[i];
        cache[key_at(slots.y, head, dims.kv_heads, dims.pairs, pair)] =
            cache[key_at(slots.x, head, dims.kv_heads, dims.pairs, pair)];
        cache[value_at(slots.y, head, dims.kv_heads, dims.pairs, pair)] =
            cache[value_at(slots.x, head, dims.kv_heads, dims.pairs, pair)];
    }
}
