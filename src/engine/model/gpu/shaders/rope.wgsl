// Rotates queries and keys, and writes keys and values to the cache.

struct Dims {
    heads: u32,
    kv_heads: u32,
    // Pairs of a head.
    pairs: u32,
    pad: u32,
}

// [row][heads of q, of k, of v][pair]
@group(1) @binding(0) var<storage, read> qkv: array<vec2<f32>>;
// [row][pair]: cos and sin.
@group(1) @binding(1) var<storage, read> rotations: array<vec2<f32>>;
@group(1) @binding(2) var<storage, read_write> q: array<vec2<f32>>;
@group(1) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let head = id.x / dims.pairs;
    let pair = id.x % dims.pairs;
    let all = dims.heads + 2u * dims.kv_heads;
    if (head >= all) {
        return;
    }
    let x = qkv[(row * all + head) * dims.pairs + pair];
    let slot = rows[batch.first + row].slot;
    if (head >= dims.heads + dims.kv_heads) {
        let kv = head - dims.heads - dims.kv_heads;
        cache[value_at(slot, kv, dims.kv_heads, dims.pairs, pair)] = pack2x16float(x);
        return;
    }
    let r = rotations[(batch.first + row) * dims.pairs + pair];
    let rotated = vec2<f32>(x.x * r.x - x.y * r.y, x.x * r.y + x.y * r.x);
    if (head < dims.heads) {
        q[(row * dims.heads + head) * dims.pairs + pair] = rotated;
    } else {
        let kv = head - dims.heads;
        cache[key_at(slot, kv, dims.kv_heads, dims.pairs, pair)] = pack2x16float(rotated);
    }
}
