//! Exit adapters: their logits against a plain computation in f64, whatever the passes were.

use super::reference::Reference;
use super::{CpuModel, config, ids, load, odd, relative_error};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::Isa;
use crate::engine::model::random::{self, MemoryTensors};
use crate::engine::model::{Ancestors, Model, Readout, Row, Sequence};
use crate::engine::splitmix::SplitMix64;
use crate::engine::weights::{Checkpoint, Exits, block_shapes, block_tensor, projection};
use candle_core::quantized::GgmlDType;

/// A random model with random adapters at these exits, in f32. They draft much as their exits would.
pub fn with_adapters(
    config: &LlamaConfig,
    dtype: GgmlDType,
    exits: &[usize],
    seed: u64,
) -> Checkpoint {
    let mut checkpoint = random::checkpoint(config, dtype, seed).unwrap();
    let mut random = SplitMix64(seed ^ 0x5EED);
    let mut uniform = || (random.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let mut tensors = MemoryTensors::default();
    let hidden = config.hidden_size;
    let mut add = |name: String, shape: Vec<usize>, number: &mut dyn FnMut(usize) -> f32| {
        let n = shape.iter().product();
        let data = (0..n).flat_map(|i| number(i).to_le_bytes()).collect();
        tensors.0.insert(name, (shape, GgmlDType::F32, data));
    };
    for &exit in exits {
        add(projection(exit), vec![hidden, 2 * hidden], &mut |i| {
            let same = i % (2 * hidden) == i / (2 * hidden);
            f32::from(u8::from(same)) + 0.3 * uniform() / (hidden as f32).sqrt()
        });
    }
    for (name, shape) in block_shapes(config).unwrap() {
        let (center, spread) = match shape[..] {
            [_, inputs] => (0.0, 1.5 / (inputs as f32).sqrt()),
            _ => (1.0, 0.2),
        };
        add(block_tensor(name), shape, &mut |_| {
            center + spread * uniform()
        });
    }
    let own = |exit: usize| exits.contains(&exit).then_some(exit);
    let adapter_of = (0..config.num_layers).map(own).collect();
    let tensors = Box::new(tensors);
    checkpoint.exits = Some(Exits::in_memory(exits.to_vec(), adapter_of, tensors));
    checkpoint
}

const EXIT: usize = 1;

/// The adapter's logits of the row at `slot`, which is run to the exit first.
fn draft(sequence: &mut dyn Sequence, row: Row) -> Vec<f32> {
    sequence.forward(&[row], EXIT).unwrap();
    read(sequence, &[row.slot])
}

fn read(sequence: &mut dyn Sequence, slots: &[usize]) -> Vec<f32> {
    let readout = Readout {
        slots,
        depth: EXIT,
        vocab: 0,
        probed: false,
    };
    let mut out = Vec::new();
    sequence.adapted_logits(&readout, &mut out).unwrap();
    out
}

/// Computes the tokens, in chunks, and keeps them.
fn keep(model: &dyn Model, sequence: &mut dyn Sequence, ids: &[u32], chunk: usize) {
    for ids in ids.chunks(chunk) {
        let start = sequence.len();
        let rows: Vec<Row> = Row::chain(ids, start).collect();
        sequence.forward(&rows, model.config().num_layers).unwrap();
        sequence.truncate(start + ids.len());
    }
}

/// Rows of a text from `start`, whose tokens have run to `depth`.
fn row(ids: &[u32], at: usize, depth: usize) -> Row {
    Row {
        depth,
        ..Row::chain(&ids[at..=at], at).next().unwrap()
    }
}

#[test]
fn logits_agree_with_a_plain_computation() {
    for (config, borrowed) in [
        (config(true), false),
        (config(false), false),
        (odd(), false),
        (config(true), true),
    ] {
        let exits: &[usize] = if borrowed { &[2] } else { &[EXIT, 2] };
        let mut checkpoint = with_adapters(&config, GgmlDType::F32, exits, 3);
        let used = if borrowed { 2 } else { EXIT };
        checkpoint.exits.as_mut().unwrap().adapter_of[EXIT] = Some(used);
        let model = load(&checkpoint);
        assert_eq!(model.adapted_exits(), exits);
        assert_eq!(model.adapter_of(EXIT), Some(used));
        let text = ids(9, &config);
        let reference = Reference::exact(&checkpoint);
        let close = |want: &[f32], got: &[f32], what: &str| {
            let error = relative_error(want, got);
            assert!(error < 4e-3, "{what}: {error}");
        };
        for chunk in [1, 3, 100] {
            let mut sequence = model.sequence(20).unwrap();
            sequence.adapt(Some(EXIT));
            keep(&*model, &mut *sequence, &text[..5], chunk);
            // Two tokens drafted one after the other: the second builds on the first's output.
            let first = draft(&mut *sequence, row(&text, 5, 0));
            close(&reference.adapted(&text[..6], EXIT, 5), &first, "first");
            let second = draft(&mut *sequence, row(&text, 6, 0));
            close(&reference.adapted(&text[..7], EXIT, 5), &second, "second");
            // Verified, both have true states.
            let rows = [row(&text, 5, EXIT), row(&text, 6, EXIT)];
            sequence.forward(&rows, config.num_layers).unwrap();
            sequence.keep(&[5, 6]).unwrap();
            sequence.truncate(7);
            let third = draft(&mut *sequence, row(&text, 7, 0));
            close(&reference.adapted(&text[..8], EXIT, 7), &third, "third");
            // The same if the text is taken back and computed again.
            sequence.truncate(7);
            sequence.truncate(4);
            keep(&*model, &mut *sequence, &text[4..7], chunk);
            assert_eq!(draft(&mut *sequence, row(&text, 7, 0)), third);
            // The last one, rejected and replaced.
            sequence.truncate(7);
            let other = [&text[..7], &[text[8]]].concat();
            let again = draft(&mut *sequence, row(&other, 7, 0));
            close(&reference.adapted(&other, EXIT, 7), &again, "again");
        }
    }
}

/// The same bits for any number of threads, chunk and rows in a pass, and for a branch of a tree as for a chain.
#[test]
fn logits_do_not_depend_on_the_passes() {
    let config = config(true);
    for dtype in [GgmlDType::F32, GgmlDType::Q8_0] {
        let checkpoint = with_adapters(&config, dtype, &[EXIT], 5);
        let text = ids(330, &config);
        let mut want = None;
        for (threads, chunk) in [(1, 1), (1, 330), (2, 64), (3, 100)] {
            let model = CpuModel::load(&checkpoint, threads, Isa::detect(), &mut |_| ()).unwrap();
            let mut sequence = model.sequence(400).unwrap();
            sequence.adapt(Some(EXIT));
            keep(&model, &mut *sequence, &text[..320], chunk);
            let chain = [
                draft(&mut *sequence, row(&text, 320, 0)),
                draft(&mut *sequence, row(&text, 321, 0)),
            ];
            sequence.truncate(320);
            // The same two tokens as a branch beside another one.
            let node = |slot: usize, token: u32, mask| Row {
                token,
                position: 320 + 1,
                slot,
                ancestors: Ancestors::Tree(mask),
                depth: 0,
            };
            let root = draft(&mut *sequence, row(&text, 320, 0));
            let level = [node(321, 9, 1), node(322, text[321], 1)];
            sequence.forward(&level, EXIT).unwrap();
            let both = read(&mut *sequence, &[321, 322]);
            assert_eq!(root, chain[0]);
            assert_eq!(both[config.vocab_size..], chain[1]);
            let want = want.get_or_insert_with(|| chain.clone());
            assert_eq!(*want, chain, "{threads} threads, chunks of {chunk}");
        }
    }
}

/// Verified positions that join the pass of a draft give the bits of positions that had a pass of their own, in a chain
/// and in a tree.
#[test]
fn joined_positions_give_the_same_bits() {
    let config = config(true);
    let checkpoint = with_adapters(&config, GgmlDType::Q8_0, &[EXIT], 5);
    let text = ids(90, &config);
    let model = load(&checkpoint);
    let drafts = |sequence: &mut dyn Sequence, len: usize| {
        let root = draft(sequence, row(&text, len, 0));
        let node = |slot: usize, token: u32| Row {
            token,
            position: len + 1,
            slot,
            ancestors: Ancestors::Tree(1),
            depth: 0,
        };
        let level = [node(len + 1, 9), node(len + 2, text[len + 1])];
        sequence.forward(&level, EXIT).unwrap();
        let both = read(sequence, &[len + 1, len + 2]);
        sequence.truncate(len);
        (root, both)
    };
    for joined in 1..=6 {
        let len = 70 + joined;
        let mut whole = model.sequence(100).unwrap();
        whole.adapt(Some(EXIT));
        keep(&*model, &mut *whole, &text[..len], 100);
        let mut parts = model.sequence(100).unwrap();
        parts.adapt(Some(EXIT));
        keep(&*model, &mut *parts, &text[..70], 100);
        // A draft, so that nothing waits.
        drafts(&mut *parts, 70);
        keep(&*model, &mut *parts, &text[70..len], 100);
        let want = drafts(&mut *whole, len);
        assert_eq!(drafts(&mut *parts, len), want, "{joined} joined");
        assert_eq!(drafts(&mut *parts, len), want, "again");
    }
}

#[test]
fn what_was_not_stored_is_not_known() {
    let config = config(true);
    let checkpoint = with_adapters(&config, GgmlDType::F32, &[EXIT], 6);
    let model = load(&checkpoint);
    let text = ids(8, &config);
    let mut sequence = model.sequence(20).unwrap();
    keep(&*model, &mut *sequence, &text[..4], 4);
    let readout = Readout {
        slots: &[4],
        depth: EXIT,
        vocab: 0,
        probed: false,
    };
    sequence.forward(&[row(&text, 4, 0)], EXIT).unwrap();
    let mut out = Vec::new();
    assert!(sequence.adapted_logits(&readout, &mut out).is_err());
    // Rows in flight stay unknown.
    sequence.adapt(Some(EXIT));
    assert!(sequence.adapted_logits(&readout, &mut out).is_err());
    // From here on it is: as after a text of no tokens.
    sequence.truncate(4);
    sequence.adapt(Some(EXIT));
    let late = draft(&mut *sequence, row(&text, 4, 0));
    assert!(late.iter().all(|x| x.is_finite()));
    // An exit without an adapter stores nothing.
    sequence.adapt(Some(2));
    assert!(sequence.adapted_logits(&readout, &mut out).is_err());
}
