// The token of a draft: the largest logit / temperature + Gumbel noise of the tokens that the filters keep, or without
// noise the largest logit. One workgroup. The generator adds TOP_K and TOP_P, whether those filters are on.
//
// Each filter keeps the tokens up to some distance from the largest logit. Top-k and top-p find theirs in histograms, to
// 1/65536 of the spread of the logits, so they may keep a token more than the host does.

struct Choice {
    // Noise of the position, a 64-bit number.
    noise: vec2<u32>,
    // 0: no noise.
    inverse_temperature: f32,
    // Largest distance from the maximum that min-p keeps, after dividing by the temperature.
    cut: f32,
    top_k: u32,
    top_p: f32,
    pad: vec2<u32>,
}

struct Dims {
    // Length of a row of logits.
    stride: u32,
    // Columns to choose from.
    width: u32,
    pad0: u32,
    pad1: u32,
}

@group(1) @binding(0) var<storage, read> logits: array<f32>;
@group(1) @binding(1) var<storage, read> ids: array<u32>;
@group(1) @binding(2) var<storage, read> choices: array<Choice>;
@group(1) @binding(3) var<storage, read_write> tokens: array<u32>;
@group(1) @binding(4) var<uniform> dims: Dims;

const LOWEST = -3.0e38;
const FARTHEST = 3.0e38;
const BINS = 256u;
// Farther tokens have no weight, in nats.
const SPREAD = 32.0;
// A weight of 1 in a histogram, where all tokens of the largest vocabularies fit 32 bits.
const ONE = 8192.0;

var<workgroup> best_score: array<f32, 256>;
var<workgroup> best_column: array<u32, 256>;
var<workgroup> bins: array<atomic<u32>, BINS>;

fn better(score: f32, column: u32, than: f32, than_column: u32) -> bool {
    return score > than || (score == than && column < than_column);
}

// Leaves the best of all threads at index 0.
fn reduce(id: u32, score: f32, column: u32) {
    best_score[id] = score;
    best_column[id] = column;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half >>= 1u) {
        if (id < half && better(best_score[id + half], best_column[id + half], best_score[id], best_column[id])) {
            best_score[id] = best_score[id + half];
            best_column[id] = best_column[id + half];
        }
        workgroupBarrier();
    }
}

// The logits of a row, relative to the largest one.
struct Logits {
    start: u32,
    most: f32,
    inverse_temperature: f32,
    // Bins for a distance of 1: the first histogram covers all tokens with weight, the second one a bin of the first.
    per: f32,
}

fn distance(row: Logits, column: u32) -> f32 {
    return (row.most - logits[row.start + column]) * row.inverse_temperature;
}

// Adds the tokens at distances up to `cut` to bins of 1 / `per` from `low`: their number, or their weight as a share of the
// largest one of the bin. Integers, so that the sums do not depend on the order.
fn count(id: u32, row: Logits, cut: f32, low: f32, per: f32, by_weight: bool) {
    workgroupBarrier();
    atomicStore(&bins[id], 0u);
    workgroupBarrier();
    for (var i = id; i < dims.width; i += 256u) {
        let x = distance(row, i);
        let at = (x - low) * per;
        if (x <= cut && at >= 0.0 && at < f32(BINS)) {
            let bin = u32(at);
            var weight = 1u;
            if (by_weight) {
                weight = u32(exp(f32(bin) / per - (x - low)) * ONE + 0.5);
            }
            atomicAdd(&bins[bin], weight);
        }
    }
    workgroupBarrier();
}

// Contents of a bin of the last histogram.
fn content(bin: u32, low: f32, per: f32, by_weight: bool) -> f32 {
    let sum = f32(atomicLoad(&bins[bin]));
    if (by_weight) {
        return sum / ONE * exp(-(low + f32(bin) / per));
    }
    return sum;
}

// The distance up to which the likeliest tokens, of those up to `cut`, reach `goal`: their number, or a share of the
// weight of all.
fn limit(id: u32, row: Logits, cut: f32, goal: f32, by_weight: bool) -> f32 {
    count(id, row, cut, 0.0, row.per, by_weight);
    var wanted = goal;
    if (by_weight) {
        var total = 0.0;
        for (var bin = 0u; bin < BINS; bin++) {
            total += content(bin, 0.0, row.per, true);
        }
        wanted = goal * total;
    }
    var sum = 0.0;
    var coarse = 0u;
    for (; coarse < BINS; coarse++) {
        let next = sum + content(coarse, 0.0, row.per, by_weight);
        if (next >= wanted) {
            break;
        }
        sum = next;
    }
    let low = f32(coarse) / row.per;
    let per = row.per * f32(BINS);
    count(id, row, cut, low, per, by_weight);
    var fine = 0u;
    for (; fine < BINS - 1u; fine++) {
        sum += content(fine, low, per, by_weight);
        if (sum >= wanted) {
            break;
        }
    }
    // Fewer tokens have weight: keep all.
    return select(min(cut, low + f32(fine + 1u) / per), cut, coarse == BINS);
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) id: u32) {
    let choice = choices[batch.step];
    let start = batch.out_row * dims.stride;
    var score = LOWEST;
    var column = 0u;
    for (var i = id; i < dims.width; i += 256u) {
        let x = logits[start + i];
        if (better(x, i, score, column)) {
            score = x;
            column = i;
        }
    }
    reduce(id, score, column);
    let most = best_score[0];
    workgroupBarrier();
    var per = 0.0;
    if (TOP_K || TOP_P) {
        var least = most;
        for (var i = id; i < dims.width; i += 256u) {
            least = min(least, logits[start + i]);
        }
        reduce(id, -least, id);
        let spread = clamp((most + best_score[0]) * choice.inverse_temperature, 1e-6, SPREAD);
        per = f32(BINS) / (spread * 1.001);
        workgroupBarrier();
    }
    let row = Logits(start, most, choice.inverse_temperature, per);
    var cut = FARTHEST;
    if (TOP_K) {
        cut = limit(id, row, cut, f32(choice.top_k), false);
    }
    if (TOP_P) {
        cut = limit(id, row, cut, choice.top_p, true);
    }
    cut = min(cut, choice.cut);
    if (choice.inverse_temperature > 0.0) {
        score = LOWEST;
        column = 0u;
        for (var i = id; i < dims.width; i += 256u) {
            let x = distance(row, i);
            if (x <= cut) {
                let noisy = gumbel(token_noise(choice.noise, ids[i])) - x;
                if (better(noisy, i, score, column)) {
                    score = noisy;
                    column = i;
                }
            }
        }
    }
    reduce(id, score, column);
    if (id == 0u) {
        tokens[batch.first + 1u] = ids[best_column[0]];
    }
}
