//! The phases of speculative decoding on a model with random weights and the shape of SmolLM2-135M, which runs at the
//! speed of the real one.
//!
//! `cargo bench --bench forward`; `SKIPLENS_BENCH_DTYPE=q4_0` selects another format.

use candle_core::quantized::GgmlDType;
use divan::{Bencher, counter::ItemsCount};
use skiplens::engine::config::{LlamaConfig, RopeScaling};
use skiplens::engine::model::{self, Model, Readout, Row, Sequence, random};

fn main() {
    divan::main();
}

fn smol() -> LlamaConfig {
    LlamaConfig {
        vocab_size: 49152,
        hidden_size: 576,
        intermediate_size: 1536,
        num_layers: 30,
        num_heads: 9,
        num_kv_heads: 3,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 100_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 8192,
        tie_word_embeddings: true,
    }
}

thread_local! {
    static MODEL: Box<dyn Model> = {
        let dtype = match std::env::var("SKIPLENS_BENCH_DTYPE").as_deref() {
            Ok("f32") => GgmlDType::F32,
            Ok("f16") => GgmlDType::F16,
            Ok("bf16") => GgmlDType::BF16,
            Ok("q4_0") => GgmlDType::Q4_0,
            Ok("q4_1") => GgmlDType::Q4_1,
            _ => GgmlDType::Q8_0,
        };
        let checkpoint = random::checkpoint(&smol(), dtype, 1).unwrap();
        model::load(&checkpoint, &candle_core::Device::Cpu, None, &mut |_| ()).unwrap()
    };
}

/// Runs `rows` tokens, after `context` cached ones, through layers `0..layers`, and the last `logits` rows through the
/// head.
fn pass(bencher: Bencher, context: usize, rows: usize, layers: usize, vocab: usize, logits: usize) {
    let ids: Vec<u32> = (0..(context + rows) as u32).collect();
    let mut sequence: Box<dyn Sequence> =
        MODEL.with(|model| model.sequence(context + rows).unwrap());
    let before: Vec<Row> = Row::chain(&ids[..context], 0).collect();
    sequence.forward(&before, layers).unwrap();
    sequence.truncate(context);
    let new: Vec<Row> = Row::chain(&ids[context..], context).collect();
    let slots: Vec<usize> = (context + rows - logits..context + rows).collect();
    let readout = Readout {
        slots: &slots,
        depth: layers,
        vocab,
        probed: false,
    };
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        sequence.forward(&new, layers).unwrap();
        sequence.logits(&readout, &mut out).unwrap();
    });
}

/// Verifies `rows` rows; one row is a decode step.
#[divan::bench(args = [1, 2, 4, 8, 16])]
fn verify(bencher: Bencher, rows: usize) {
    pass(bencher, 64, rows, 30, 0, rows);
}

#[divan::bench(args = [1, 2, 4, 8, 15])]
fn draft(bencher: Bencher, exit_layer: usize) {
    pass(bencher, 64, 1, exit_layer, 0, 1);
}

#[divan::bench(args = [1, 2, 4, 8, 15])]
fn draft_reduced_head(bencher: Bencher, exit_layer: usize) {
    pass(bencher, 64, 1, exit_layer, 8192, 1);
}

#[divan::bench]
fn prefill_256(bencher: Bencher) {
    pass(bencher, 0, 256, 30, 0, 1);
}

#[divan::bench(args = [256, 1024, 4000])]
fn decode_in_context(bencher: Bencher, context: usize) {
    pass(bencher, context, 1, 30, 0, 1);
}

#[divan::bench(args = [256, 1024, 4000])]
fn verify_8_in_context(bencher: Bencher, context: usize) {
    pass(bencher, context, 8, 30, 0, 8);
}
