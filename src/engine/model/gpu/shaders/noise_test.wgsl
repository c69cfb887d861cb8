// Random bits of tokens 0, 1, 2, … and the bits of their Gumbel noise.
@group(1) @binding(0) var<storage, read> position: vec2<u32>;
@group(1) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let noise = token_noise(position, id.x);
    out[id.x] = vec4<u32>(noise, bitcast<u32>(gumbel(noise)), 0u);
}
