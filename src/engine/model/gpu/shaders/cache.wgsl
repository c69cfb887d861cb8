// A page of the cache is [kv head] of keys [pair][256 slots] and values [256 slots][pair], two f16 to a word.
@group(2) @binding(0) var<storage, read_write> cache: array<u32>;

// Offset of the keys of a slot's page.
fn head_at(slot: u32, head: u32, kv_heads: u32, pairs: u32) -> u32 {
    return ((slot >> 8u) * kv_heads + head) * pairs * 512u;
}

fn key_at(slot: u32, head: u32, kv_heads: u32, pairs: u32, pair: u32) -> u32 {
    return head_at(slot, head, kv_heads, pairs) + pair * 256u + (slot & 255u);
}

fn value_at(slot: u32, head: u32, kv_heads: u32, pairs: u32, pair: u32) -> u32 {
    return head_at(slot, head, kv_heads, pairs) + pairs * 256u + (slot & 255u) * pairs + pair;
}
