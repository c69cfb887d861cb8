// The token of a draft: the largest logit / temperature + Gumbel noise of those that are at most `cut` below the largest
// logit, or without noise the largest logit. One workgroup.

struct Choice {
    // Noise of the position, a 64-bit number.
    noise: vec2<u32>,
    // 0: no noise.
    inverse_temperature: f32,
    // Largest distance from the maximum, in logits.
    cut: f32,
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

var<workgroup> best_score: array<f32, 256>;
var<workgroup> best_column: array<u32, 256>;

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
    if (choice.inverse_temperature > 0.0) {
        score = LOWEST;
        column = 0u;
        for (var i = id; i < dims.width; i += 256u) {
            let x = logits[start + i] - most;
            if (x >= -choice.cut) {
                let noisy = fma(x, choice.inverse_temperature, gumbel(token_noise(choice.noise, ids[i])));
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
