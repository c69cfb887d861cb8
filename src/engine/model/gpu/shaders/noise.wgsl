// SplitMix64 on pairs of words, low word first, and Gumbel noise. As `sampling::noise` on the host, in all bits.

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn multiply32(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let ll = al * bl;
    let lh = al * bh;
    let hl = ah * bl;
    let middle = (ll >> 16u) + (lh & 0xffffu) + (hl & 0xffffu);
    return vec2<u32>(
        (ll & 0xffffu) | (middle << 16u),
        ah * bh + (lh >> 16u) + (hl >> 16u) + (middle >> 16u));
}

fn multiply64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = multiply32(a.x, b.x);
    return vec2<u32>(low.x, low.y + a.x * b.y + a.y * b.x);
}

// z ^ (z >> by), by < 32.
fn fold(z: vec2<u32>, by: u32) -> vec2<u32> {
    return vec2<u32>(z.x ^ ((z.x >> by) | (z.y << (32u - by))), z.y ^ (z.y >> by));
}

fn mix(state: vec2<u32>) -> vec2<u32> {
    var z = add64(state, vec2<u32>(0x7f4a7c15u, 0x9e3779b9u));
    z = multiply64(fold(z, 30u), vec2<u32>(0x1ce4e5b9u, 0xbf58476du));
    z = multiply64(fold(z, 27u), vec2<u32>(0x133111ebu, 0x94d049bbu));
    return fold(z, 31u);
}

// The noise of a token at a position.
fn token_noise(position: vec2<u32>, id: u32) -> vec2<u32> {
    return mix(add64(position, vec2<u32>((id << 1u) | 1u, id >> 31u)));
}

// -ln(-ln(u)) of the uniform number u = (noise >> 12 + 0.5) / 2^52.
fn gumbel(noise: vec2<u32>) -> f32 {
    let high = noise.y;
    let low = noise.x >> 12u;
    var exponential = 0.0;
    if (high >= 0xf8000000u) {
        // Near 1: -ln(1 - v) by its series, because u would round to 1.
        let v = f32(~high) * exp2(-32.0) + (f32(~low & 0xfffffu) + 0.5) * exp2(-52.0);
        exponential = v * fma(v, fma(v, fma(v, fma(v, 0.2, 0.25), 1.0 / 3.0), 0.5), 1.0);
    } else {
        let u = f32(high) * exp2(-32.0) + (f32(low) + 0.5) * exp2(-52.0);
        exponential = -log(u);
    }
    return -log(exponential);
}
