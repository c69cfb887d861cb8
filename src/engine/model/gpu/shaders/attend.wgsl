// Attention of a row over one page of 256 positions, for the query heads of a group that share a key-value head. The
// generator adds PAIRS, the pairs of a head, GROUP, the query heads of a workgroup, PARTS, the parts into which the
// positions are divided for the sum over values, and LOADS, the keys that a thread loads before it uses them.
//
// Positions, not slots, are counted, so a node of a tree adds in the same order as its branch decoded alone.

struct Heads {
    heads: u32,
    kv_heads: u32,
    // Workgroups that share a key-value head.
    groups: u32,
    scale: f32,
}

const DIM = PAIRS * 2u;
const LOWEST = -3.0e38;
// Columns of `scores`.
const WIDTH = max(256u, DIM);
// Values that a thread loads before it uses them.
const VALUES = 16u;

var<workgroup> queries: array<vec2<f32>, GROUP * PAIRS>;
var<workgroup> slots: array<u32, 256>;
// [head][256 positions]: scores, then their exponentials. In the end [head][DIM]: the sums over values.
var<workgroup> scores: array<f32, GROUP * WIDTH>;
var<workgroup> lanes: array<f32, GROUP * 16u>;
var<workgroup> maxima: array<f32, GROUP>;
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

// Leaves the maxima of the scores of each head, the totals of their exponentials, and in `scores` the sums over values.
fn attend(index: u32, page: u32, group: u32, id: u32) {
    let row = rows[batch.first + index];
    let start = page * 256u;
    // No early return for pages beyond the row: some compilers cannot see that barriers after it are uniform.
    let count = min(max(row.position + 1u, start) - start, 256u);
    let kv = group / heads.groups;
    for (var i = id; i < GROUP * PAIRS; i += 256u) {
        queries[i] = query((index * heads.heads + group * GROUP) * PAIRS + i) * heads.scale;
    }
    var slot = 0u;
    if (id < count) {
        slot = slot_of(row, start + id);
    }
    slots[id] = slot;
    workgroupBarrier();

    var score: array<f32, GROUP>;
    if (id < count) {
        let key = key_at(slot, kv, heads.kv_heads, PAIRS, 0u);
        for (var pair = 0u; pair < PAIRS; pair += LOADS) {
            var words: array<u32, LOADS>;
            for (var j = 0u; j < LOADS; j++) {
                words[j] = cache[key + (pair + j) * 256u];
            }
            for (var j = 0u; j < LOADS; j++) {
                let k = unpack2x16float(words[j]);
                for (var h = 0u; h < GROUP; h++) {
                    let x = queries[h * PAIRS + pair + j];
                    score[h] = fma(x.y, k.y, fma(x.x, k.x, score[h]));
                }
            }
        }
    }
    for (var h = 0u; h < GROUP; h++) {
        scores[h * 256u + id] = select(LOWEST, score[h], id < count);
    }
    workgroupBarrier();

    for (var i = id; i < GROUP * 16u; i += 256u) {
        var most = LOWEST;
        for (var j = 0u; j < 16u; j++) {
            most = max(most, scores[i * 16u + j]);
        }
        lanes[i] = most;
    }
    workgroupBarrier();
    if (id < GROUP) {
        var most = LOWEST;
        for (var j = 0u; j < 16u; j++) {
            most = max(most, lanes[id * 16u + j]);
        }
        maxima[id] = most;
    }
    workgroupBarrier();
    for (var h = 0u; h < GROUP; h++) {
        scores[h * 256u + id] = select(0.0, exp(score[h] - maxima[h]), id < count);
    }
    workgroupBarrier();
    for (var i = id; i < GROUP * 16u; i += 256u) {
        var sum = 0.0;
        for (var j = 0u; j < 16u; j++) {
            sum += scores[i * 16u + j];
        }
        lanes[i] = sum;
    }
    workgroupBarrier();
    if (id < GROUP) {
        var sum = 0.0;
        for (var j = 0u; j < 16u; j++) {
            sum += lanes[id * 16u + j];
        }
        totals[id] = sum;
    }

    var output: array<vec2<f32>, GROUP>;
    let part = id / PAIRS;
    let pair = id % PAIRS;
    if (part < PARTS) {
        // Positions beyond the row have the exponential 0 and slot 0.
        for (var i = part; i < count; i += PARTS * VALUES) {
            var words: array<u32, VALUES>;
            for (var j = 0u; j < VALUES; j++) {
                words[j] = cache[value_at(slots[i + j * PARTS], kv, heads.kv_heads, PAIRS, pair)];
            }
            for (var j = 0u; j < VALUES; j++) {
                let v = unpack2x16float(words[j]);
                for (var h = 0u; h < GROUP; h++) {
                    output[h] = fma(vec2<f32>(scores[h * 256u + i + j * PARTS]), v, output[h]);
                }
            }
        }
    }
    workgroupBarrier();
    for (var h = 0u; h < GROUP; h++) {
        outputs[id] = output[h];
        workgroupBarrier();
        if (id < PAIRS) {
            var sum = vec2<f32>();
            for (var i = 0u; i < PARTS; i++) {
                sum += outputs[i * PAIRS + id];
            }
            scores[h * DIM + id * 2u] = sum.x;
            scores[h * DIM + id * 2u + 1u] = sum.y;
        }
        workgroupBarrier();
    }
}
