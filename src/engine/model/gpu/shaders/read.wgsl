// Reads a buffer once, to measure the bandwidth. The generator adds THREADS, the number of threads of all workgroups, and
// LOADS, the vectors that a thread loads before it uses them.

@group(1) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(1) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = vec4<u32>();
    for (var at = id.x; at + THREADS * (LOADS - 1u) < arrayLength(&source); at += THREADS * LOADS) {
        var x: array<vec4<u32>, LOADS>;
        for (var j = 0u; j < LOADS; j++) {
            x[j] = source[at + j * THREADS];
        }
        for (var j = 0u; j < LOADS; j++) {
            sum ^= x[j];
        }
    }
    // Keeps the compiler from removing the reads.
    if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x9e3779b9u) {
        out[0] = 1u;
    }
}
