// Attention of a row over one page of 256 positions, for the query heads of a group that share a key-value head. The
// generator adds PAIRS, the pairs of a head, GROUP, the query heads of a workgroup, and PARTS, the parts into which the
// positions are divided for the sum over values.
//
// Positions, not slots, are counted, so a node of a tree adds in the same order as its branch decoded alone.

struct Dims {
    heads: u32,
    kv_heads: u32,
    // Workgroups that share a key-value head.
    groups: u32,
    scale: f32,
}

const DIM = PAIRS * 2u;
const LOWEST = -3.0e38;

// [row][head][pair]
@group(1) @binding(0) var<storage, read> q: array<vec2<f32>>;
// [row][head][page][maximum, sum, output...]
@group(1) @binding(1) var<storage, read_write> partials: array<f32>;
@group(1) @binding(2) var<uniform> dims: Dims;

var<workgroup> queries: array<vec2<f32>, GROUP * PAIRS>;
var<workgroup> slots: array<u32, 256>;
// [head][position]: scores, then their exponentials.
var<workgroup> scores: array<f32, GROUP * 256u>;
var<workgroup> lanes: array<f32, GROUP * 32u>;
var<workgroup> totals: array<f32, GROUP>;
var<workgroup> outputs: array<vec2<f32>, 256>;

fn slot_of(row: Row, position: u32) -> u32 {
    if (row.tree == 0u || position < batch.kept) {
        return position;
    }
    var left = position - batch.kept;
    for (var bit = 0u; bit < 64u; bit++) {
        let word = select(row.mask.x, row.mask.y, bit >= 32u);
        if ((word >> (bit & 31u) & 1u) == 1u) {
            if (left == 0u) {
                return batch.kept + bit;
            }
            left -= 1u;
        }
    }
    return row.slot;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) id: u32) {
    let row = rows[batch.first + group.y];
    let page = group.z;
    let start = page * 256u;
    // No early return for pages beyond the row: some compilers cannot see that barriers after it are uniform.
    let count = min(max(row.position + 1u, start) - start, 256u);
    let kv = group.x / dims.groups;
    let first = group.x * GROUP;
    for (var i = id; i < GROUP * PAIRS; i += 256u) {
        queries[i] = q[(group.y * dims.heads + first) * PAIRS + i] * dims.scale;
    }
    var slot = 0u;
    if (id < count) {
        slot = slot_of(row, start + id);
    }
    slots[id] = slot;
    workgroupBarrier();

    var score: array<f32, GROUP>;
    if (id < count) {
        let key = key_at(slot, kv, dims.kv_heads, PAIRS, 0u);
        for (var pair = 0u; pair < PAIRS; pair++) {
            let k = unpack2x16float(cache[key + pair * 256u]);
            for (var h = 0u; h < GROUP; h++) {
                let query = queries[h * PAIRS + pair];
                score[h] = fma(query.y, k.y, fma(query.x, k.x, score[h]));
            }
        }
    }
    for (var h = 0u; h < GROUP; h++) {
        scores[h * 256u + id] = select(LOWEST, score[h], id < count);
    }
    workgroupBarrier();

    for (var i = id; i < GROUP * 32u; i += 256u) {
        var most = LOWEST;
        for (var j = 0u; j < 8u; j++) {
            most = max(most, scores[i * 8u + j]);
        }
        lanes[i] = most;
    }
    workgroupBarrier();
    if (id < GROUP) {
        var most = LOWEST;
        for (var j = 0u; j < 32u; j++) {
            most = max(most, lanes[id * 32u + j]);
        }
        totals[id] = most;
    }
    workgroupBarrier();
    for (var h = 0u; h < GROUP; h++) {
        scores[h * 256u + id] = select(0.0, exp(score[h] - totals[h]), id < count);
    }
    workgroupBarrier();
    let result = ((group.y * dims.heads + first) * batch.pages + page) * (DIM + 2u);
    let stride = batch.pages * (DIM + 2u);
    if (id < GROUP) {
        partials[result + id * stride] = totals[id];
    }
    for (var i = id; i < GROUP * 32u; i += 256u) {
        var sum = 0.0;
        for (var j = 0u; j < 8u; j++) {
            sum += scores[i * 8u + j];
        }
        lanes[i] = sum;
    }
    workgroupBarrier();
    if (id < GROUP) {
        var sum = 0.0;
        for (var j = 0u; j < 32u; j++) {
            sum += lanes[id * 32u + j];
        }
        partials[result + id * stride + 1u] = sum;
    }

    var output: array<vec2<f32>, GROUP>;
    let part = id / PAIRS;
    let pair = id % PAIRS;
    if (part < PARTS) {
        for (var i = part; i < count; i += PARTS) {
            let v = unpack2x16float(cache[value_at(slots[i], kv, dims.kv_heads, PAIRS, pair)]);
            for (var h = 0u; h < GROUP; h++) {
                output[h] = fma(vec2<f32>(scores[h * 256u + i]), v, output[h]);
            }
        }
    }
    for (var h = 0u; h < GROUP; h++) {
        outputs[id] = output[h];
        workgroupBarrier();
        if (id < PAIRS) {
            var sum = vec2<f32>();
            for (var i = 0u; i < PARTS; i++) {
                sum += outputs[i * PAIRS + id];
            }
            let at = result + h * stride + 2u + id * 2u;
            partials[at] = sum.x;
            partials[at + 1u] = sum.y;
        }
        workgroupBarrier();
    }
}
