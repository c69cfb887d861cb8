// Rows of a pass. `first` is the index of its first row in `rows`; scratch buffers are indexed from 0.
struct Batch {
    first: u32,
    n: u32,
    // Number of kept positions; rows in flight are in the slots after them.
    kept: u32,
    // Pages that the rows attend to.
    pages: u32,
    // First row of the output of a matrix product.
    out_row: u32,
    // Index of a choice.
    step: u32,
    pad: vec2<u32>,
}

struct Row {
    position: u32,
    slot: u32,
    // Index of its state.
    state: u32,
    // Whether `mask` selects what it attends to; otherwise it attends to all slots before its own.
    tree: u32,
    mask: vec2<u32>,
    pad: vec2<u32>,
}

@group(0) @binding(0) var<uniform> batch: Batch;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
// [state][stride], zero in the padding.
@group(0) @binding(2) var<storage, read_write> states: array<f32>;
