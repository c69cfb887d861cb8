//! The forward pass compared with a plain one in f64, and with itself in different chunks.

pub mod adapters;
pub mod reference;

use super::{Ancestors, CandleModel, CpuModel, Model, Readout, Row, Sequence, random};
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::kernels::Isa;
use crate::engine::weights::Checkpoint;
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use proptest::prelude::*;
use reference::Reference;

pub fn config(tie: bool) -> LlamaConfig {
    LlamaConfig {
        vocab_size: 101,
        hidden_size: 64,
        intermediate_size: 96,
        num_layers: 3,
        num_heads: 6,
        num_kv_heads: 2,
        head_dim: 16,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        context_length: 600,
        tie_word_embeddings: tie,
    }
}

/// Rows of 256 columns, for formats with super-blocks.
pub fn wide() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 256,
        intermediate_size: 512,
        num_heads: 4,
        head_dim: 64,
        num_layers: 2,
        ..config(true)
    }
}

/// No size is a multiple of another one.
pub fn odd() -> LlamaConfig {
    LlamaConfig {
        vocab_size: 37,
        hidden_size: 30,
        intermediate_size: 50,
        num_heads: 3,
        num_kv_heads: 3,
        head_dim: 10,
        ..config(false)
    }
}

pub fn load(checkpoint: &Checkpoint) -> Box<dyn Model> {
    super::load(checkpoint, &Device::Cpu, Some(1), &mut |_| ()).unwrap()
}

fn load_cpu(checkpoint: &Checkpoint, threads: usize, isa: Isa) -> CpuModel {
    CpuModel::load(checkpoint, threads, isa, &mut |_| ()).unwrap()
}

/// All back ends with the same weights.
fn back_ends(checkpoint: &Checkpoint) -> [Box<dyn Model>; 2] {
    let candle = CandleModel::load(checkpoint, &Device::Cpu, &mut |_| ()).unwrap();
    [load(checkpoint), Box::new(candle)]
}

pub fn all_dtypes() -> Vec<(GgmlDType, LlamaConfig)> {
    use GgmlDType::*;
    let narrow =
        [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1].map(|dtype| (dtype, config(dtype == Q4_1)));
    let mut all = narrow.to_vec();
    all.extend([Q4K, Q5K, Q6K].map(|dtype| (dtype, wide())));
    all.extend([(F32, odd()), (BF16, odd())]);
    all
}

pub fn ids(n: usize, config: &LlamaConfig) -> Vec<u32> {
    (0..n)
        .map(|i| (i * i * 7 + 3 * i + 5) as u32 % config.vocab_size as u32)
        .collect()
}

/// Logits of rows in flight.
pub fn read(sequence: &mut dyn Sequence, rows: &[Row], depth: usize, vocab: usize) -> Vec<f32> {
    let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
    let readout = Readout {
        slots: &slots,
        depth,
        vocab,
        probed: false,
    };
    let mut out = Vec::new();
    sequence.logits(&readout, &mut out).unwrap();
    out
}

/// Logits of a text that follows the kept positions, computed and kept in chunks of the given sizes.
pub fn extend(
    model: &dyn Model,
    sequence: &mut dyn Sequence,
    ids: &[u32],
    chunks: &[usize],
) -> Vec<f32> {
    let layers = model.config().num_layers;
    let (mut all, mut at) = (Vec::new(), 0);
    for chunk in chunks.iter().cycle() {
        let end = ids.len().min(at + chunk);
        if at == end {
            break;
        }
        let start = sequence.len();
        let rows: Vec<Row> = Row::chain(&ids[at..end], start).collect();
        sequence.forward(&rows, layers).unwrap();
        all.extend(read(sequence, &rows, layers, 0));
        sequence.truncate(start + rows.len());
        at = end;
    }
    all
}

/// As [`extend`], from an empty sequence.
pub fn logits(model: &dyn Model, capacity: usize, ids: &[u32], chunks: &[usize]) -> Vec<f32> {
    extend(model, &mut *model.sequence(capacity).unwrap(), ids, chunks)
}

#[test]
fn logits_agree_with_a_plain_llama() {
    for (dtype, config) in all_dtypes() {
        let checkpoint = random::checkpoint(&config, dtype, 1).unwrap();
        let (llama, ids) = (load(&checkpoint), ids(9, &config));
        let ours = logits(&*llama, 20, &ids, &[9]);
        let error = relative_error(&Reference::exact(&checkpoint).logits(&ids), &ours);
        let max = if dtype.block_size() == 1 { 2e-3 } else { 4e-2 };
        assert!(error < max, "{dtype:?}: relative error {error}");
    }
}

#[test]
fn rows_do_not_depend_on_other_rows() {
    for (dtype, config) in all_dtypes() {
        let llama = load(&random::checkpoint(&config, dtype, 2).unwrap());
        let ids = ids(40, &config);
        let one_by_one = logits(&*llama, 40, &ids, &[1]);
        for chunks in [&[40][..], &[3, 1, 7], &[16, 5], &[2, 15, 17]] {
            let together = logits(&*llama, 40, &ids, chunks);
            assert!(one_by_one == together, "{dtype:?} in chunks of {chunks:?}");
        }
    }
}

#[test]
fn threads_and_instruction_sets_give_the_same_bits() {
    for (dtype, config) in all_dtypes() {
        let checkpoint = random::checkpoint(&config, dtype, 7).unwrap();
        let ids = ids(21, &config);
        let run =
            |threads, isa| logits(&load_cpu(&checkpoint, threads, isa), 40, &ids, &[16, 1, 3]);
        let plain = run(1, Isa::PORTABLE);
        for isa in Isa::available() {
            for threads in [1, 2, 5] {
                assert!(
                    plain == run(threads, isa),
                    "{dtype:?} with {threads} threads and {}",
                    isa.name()
                );
            }
        }
    }
}

/// The context spans several pages of the cache, which are divided among threads if there are few rows.
#[test]
fn long_contexts_give_the_same_bits_with_any_threads_and_chunks() {
    for config in [
        config(true),
        odd(),
        LlamaConfig {
            num_heads: 8,
            num_kv_heads: 1,
            ..config(true)
        },
    ] {
        let checkpoint = random::checkpoint(&config, GgmlDType::F32, 9).unwrap();
        let ids = ids(560, &config);
        let run = |threads, isa, chunks: &[usize]| {
            logits(&load_cpu(&checkpoint, threads, isa), 600, &ids, chunks)
        };
        let best = Isa::detect();
        let plain = run(1, best, &[560]);
        let kept = Reference::exact(&checkpoint).logits(&ids);
        let error = plain
            .iter()
            .zip(&kept)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(
            error < 2e-3 * kept.iter().fold(0.0, |a: f32, b| a.max(b.abs())),
            "{error}"
        );
        for (threads, isa, chunks) in [
            (1, Isa::PORTABLE, &[250, 9, 1][..]),
            (2, best, &[1]),
            (2, best, &[255, 2]),
            (2, best, &[8]),
            (3, best, &[240, 5, 3, 11]),
            (5, best, &[17, 4]),
        ] {
            assert!(
                plain == run(threads, isa, chunks),
                "{threads} threads, {}, {chunks:?}",
                isa.name()
            );
        }
    }
}

#[test]
fn candle_agrees_with_the_kernels() {
    use GgmlDType::*;
    for (dtype, config) in all_dtypes()
        .into_iter()
        .filter(|(dtype, _)| !matches!(dtype, Q4_1 | Q5_0 | Q5_1))
    {
        let checkpoint = random::checkpoint(&config, dtype, 8).unwrap();
        let [kernels, tensors] = back_ends(&checkpoint);
        let ids = ids(23, &config);
        assert_eq!(
            (kernels.dtype_name(), tensors.device_name().as_str()),
            (tensors.dtype_name(), "cpu")
        );
        let ours = logits(&*kernels, 40, &ids, &[23]);
        for chunks in [&[23][..], &[5, 1, 9]] {
            let theirs = logits(&*tensors, 40, &ids, chunks);
            let max = if dtype.block_size() == 1 { 1e-2 } else { 5e-2 };
            let error = relative_error(&ours, &theirs);
            assert!(
                error < max,
                "{dtype:?} in chunks of {chunks:?}: relative difference {error}"
            );
        }
    }
}

pub fn relative_error(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().map(|x| x * x).sum::<f32>().sqrt();
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
    difference.sqrt() / size
}

#[test]
fn truncated_positions_are_overwritten() {
    let llama = load(&random::checkpoint(&config(false), GgmlDType::Q8_0, 3).unwrap());
    let ids = ids(300, llama.config());
    let all = logits(&*llama, 400, &ids, &[64]);
    let mut sequence = llama.sequence(400).unwrap();
    extend(&*llama, &mut *sequence, &ids[..250], &[64]);
    let other: Vec<Row> = Row::chain(&[1; 20], 250).collect();
    sequence.forward(&other, 2).unwrap();
    sequence.truncate(250);
    assert_eq!(sequence.len(), 250);
    // In two passes: states are stored with their rows.
    let mut rows: Vec<Row> = Row::chain(&ids[250..], 250).collect();
    sequence.forward(&rows, 2).unwrap();
    rows.iter_mut().for_each(|row| row.depth = 2);
    sequence.forward(&rows, 3).unwrap();
    let out = read(&mut *sequence, &rows, 3, 0);
    assert!(out == all[250 * llama.config().vocab_size..]);
}

/// Rows of different depths in one pass have the same logits as in a pass from the first layer.
#[test]
fn rows_of_different_depths_share_a_pass() {
    for dtype in [GgmlDType::F32, GgmlDType::Q8_0] {
        let checkpoint = random::checkpoint(&config(true), dtype, 11).unwrap();
        for (back_end, model) in back_ends(&checkpoint).iter().enumerate() {
            let ids = ids(30, model.config());
            let all = logits(&**model, 40, &ids, &[30]);
            let vocab = model.config().vocab_size;
            // A row can only be run after those that it attends to.
            for depths in [[2, 2, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0]] {
                let mut sequence = model.sequence(40).unwrap();
                extend(&**model, &mut *sequence, &ids[..24], &[24]);
                let mut rows: Vec<Row> = Row::chain(&ids[24..], 24).collect();
                for (row, depth) in rows.iter_mut().zip(depths) {
                    if depth > 0 {
                        sequence.forward(&[*row], depth).unwrap();
                    }
                    row.depth = depth;
                }
                sequence.forward(&rows, 3).unwrap();
                let out = read(&mut *sequence, &rows, 3, 0);
                let want = &all[24 * vocab..];
                match back_end {
                    0 => assert!(out == want, "{dtype:?} from depths {depths:?}"),
                    _ => assert!(relative_error(want, &out) < 1e-4, "{depths:?}"),
                }
            }
        }
    }
}

/// A tree of `parents` after a text of `start` tokens, with node i in the i-th slot; `None` is the root, the text's last
/// token.
pub fn tree(tokens: &[u32], parents: &[Option<usize>], start: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (i, (&token, parent)) in tokens.iter().zip(parents).enumerate() {
        let mask = match parent {
            None => 0,
            Some(parent) => match rows[*parent].ancestors {
                Ancestors::Tree(mask) => mask | 1 << parent,
                Ancestors::Chain => 1 << parent,
            },
        };
        rows.push(Row {
            token,
            position: start + mask.count_ones() as usize,
            slot: start + i,
            ancestors: Ancestors::Tree(mask),
            depth: 0,
        });
    }
    rows
}

/// The branch that leads to a node, itself included.
pub fn branch(parents: &[Option<usize>], node: usize) -> Vec<usize> {
    let mut path: Vec<usize> = std::iter::successors(Some(node), |&node| parents[node]).collect();
    path.reverse();
    path
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A node's logits equal those of its branch decoded alone, bit for bit on the CPU. Keeping a branch gives the same
    /// state as decoding it alone.
    #[test]
    fn a_tree_node_attends_only_to_its_branch(
        seed in 0u64..9,
        // Contexts whose tree is within a page, at its end, and across two pages.
        start in prop_oneof![1usize..40, 245usize..270],
        nodes in prop::collection::vec((0u32..101, 0usize..1000), 1..12),
        dtype in prop_oneof![Just(GgmlDType::F32), Just(GgmlDType::Q8_0)],
        threads in 1usize..4,
        depth in 0usize..3,
    ) {
        let config = config(seed % 2 == 0);
        let checkpoint = random::checkpoint(&config, dtype, seed).unwrap();
        let model = load_cpu(&checkpoint, threads, Isa::detect());
        let text = ids(start, &config);
        let tokens: Vec<u32> = nodes.iter().map(|node| node.0).collect();
        // Node 0 is the root; every other follows an earlier one.
        let parents: Vec<Option<usize>> = nodes
            .iter()
            .enumerate()
            .map(|(i, node)| node.1.checked_rem(i))
            .collect();
        let mut sequence = model.sequence(400).unwrap();
        extend(&model, &mut *sequence, &text, &[64]);
        let mut rows = tree(&tokens, &parents, start);
        sequence.forward(&rows, depth).unwrap();
        rows.iter_mut().for_each(|row| row.depth = depth);
        sequence.forward(&rows, 3).unwrap();
        let got = read(&mut *sequence, &rows, 3, 0);
        let vocab = config.vocab_size;
        let alone = |path: &[usize]| {
            let ids: Vec<u32> = text.iter().copied().chain(path.iter().map(|&i| tokens[i])).collect();
            let all = logits(&model, 400, &ids, &[64]);
            all[all.len() - vocab..].to_vec()
        };
        for node in 0..tokens.len() {
            let want = alone(&branch(&parents, node));
            prop_assert!(got[node * vocab..][..vocab] == want, "node {} of {:?}", node, parents);
        }
        let path = branch(&parents, tokens.len() - 1);
        let slots: Vec<usize> = path.iter().map(|node| start + node).collect();
        sequence.keep(&slots).unwrap();
        let moved: Vec<Row> = (0..path.len()).map(|i| Row { slot: start + i, ..rows[0] }).collect();
        let kept = read(&mut *sequence, &moved[path.len() - 1..], 3, 0);
        prop_assert!(kept == alone(&path), "states move with their rows");
        sequence.truncate(start + path.len());
        prop_assert_eq!(sequence.len(), start + path.len());
        let next = extend(&model, &mut *sequence, &[7], &[1]);
        let ids: Vec<u32> =
            text.iter().copied().chain(path.iter().map(|&i| tokens[i])).chain([7]).collect();
        let all = logits(&model, 400, &ids, &[64]);
        prop_assert!(next == all[all.len() - vocab..], "after keeping {:?}", path);
    }
}

#[test]
fn candle_attends_to_trees_the_same_way() {
    let config = config(true);
    let checkpoint = random::checkpoint(&config, GgmlDType::F32, 2).unwrap();
    let parents = [None, Some(0), Some(0), Some(1), Some(2), Some(1)];
    let [ours, theirs] = back_ends(&checkpoint).map(|model| {
        let mut sequence = model.sequence(60).unwrap();
        extend(&*model, &mut *sequence, &ids(20, &config), &[20]);
        let rows = tree(&[9, 8, 7, 6, 5, 4], &parents, 20);
        sequence.forward(&rows, 3).unwrap();
        let mut all = read(&mut *sequence, &rows, 3, 0);
        sequence.keep(&[20, 22, 24]).unwrap();
        sequence.truncate(23);
        all.extend(extend(&*model, &mut *sequence, &[1, 2], &[2]));
        all
    });
    assert!(relative_error(&ours, &theirs) < 1e-2);
}

/// The probe copies states both when drafting and when verifying passes the layer.
#[test]
fn probed_states_equal_those_of_an_exit() {
    let checkpoint = random::checkpoint(&config(false), GgmlDType::F32, 12).unwrap();
    for model in back_ends(&checkpoint) {
        let mut plain = model.sequence(9).unwrap();
        let rows: Vec<Row> = Row::chain(&[4, 5, 6], 0).collect();
        plain.forward(&rows, 1).unwrap();
        let want = read(&mut *plain, &rows, 1, 0);
        for depth in [0, 1, 2] {
            let mut sequence = model.sequence(9).unwrap();
            sequence.probe(Some(1));
            let mut rows = rows.clone();
            sequence.forward(&rows, depth).unwrap();
            rows.iter_mut().for_each(|row| row.depth = depth);
            sequence.forward(&rows, 3).unwrap();
            let slots = [0, 1, 2];
            let readout = Readout {
                slots: &slots,
                depth: 1,
                vocab: 0,
                probed: true,
            };
            let mut out = Vec::new();
            sequence.logits(&readout, &mut out).unwrap();
            assert!(relative_error(&want, &out) < 1e-5, "drafted to {depth}");
        }
    }
}

#[test]
fn a_reduced_head_gives_the_same_logits() {
    for tie in [false, true] {
        let checkpoint = random::checkpoint(&config(tie), GgmlDType::Q4_0, 4).unwrap();
        for mut llama in back_ends(&checkpoint) {
            for order in [
                None,
                Some(vec![
                    100, 3, 50, 7, 8, 9, 1, 0, 22, 21, 20, 19, 18, 17, 16, 15, 14, 99,
                ]),
            ] {
                if let Some(order) = order {
                    llama.set_draft_order(order).unwrap();
                }
                let mut sequence = llama.sequence(9).unwrap();
                let rows: Vec<Row> = Row::chain(&[5, 6, 7], 0).collect();
                sequence.forward(&rows, 2).unwrap();
                let full = read(&mut *sequence, &rows, 2, 0);
                for vocab in [1, 16, 17, 18] {
                    let part = read(&mut *sequence, &rows, 2, vocab);
                    let ids = llama.draft_order().ids(vocab);
                    assert_eq!((ids.len(), part.len()), (vocab, 3 * vocab));
                    for (row, part) in part.chunks_exact(vocab).enumerate() {
                        for (&id, logit) in ids.iter().zip(part) {
                            assert_eq!(full[row * 101 + id as usize], *logit);
                        }
                    }
                }
                assert!(
                    llama.set_draft_order(vec![5]).is_err(),
                    "a sequence is in use"
                );
            }
            for order in [vec![], vec![101], vec![3, 3]] {
                assert!(llama.set_draft_order(order).is_err());
            }
        }
    }
}

#[test]
fn tokens_added_to_a_reduced_head_have_the_same_logits() {
    for (dtype, order) in [
        (GgmlDType::Q4_0, None),
        (GgmlDType::F16, Some((0..50).rev().collect())),
    ] {
        let checkpoint = random::checkpoint(&config(true), dtype, 4).unwrap();
        let mut llama = load(&checkpoint);
        if let Some(order) = order {
            llama.set_draft_order(order).unwrap();
        }
        let mut sequence = llama.sequence(9).unwrap();
        let rows: Vec<Row> = Row::chain(&[5, 6, 7], 0).collect();
        sequence.forward(&rows, 2).unwrap();
        let full = read(&mut *sequence, &rows, 2, 0);
        let many: Vec<u32> = (20..90).collect();
        for added in [&[90, 60][..], &[90, 61, 3, 2], &many, &[], &[70]] {
            assert!(sequence.extend_draft_head(added).unwrap());
            for vocab in [1, 16, 17] {
                let part = read(&mut *sequence, &rows, 2, vocab);
                let ids = [llama.draft_order().ids(vocab), added].concat();
                assert_eq!(part.len(), 3 * ids.len());
                for (row, part) in part.chunks_exact(ids.len()).enumerate() {
                    for (&id, logit) in ids.iter().zip(part) {
                        assert_eq!(full[row * 101 + id as usize], *logit);
                    }
                }
            }
            assert_eq!(read(&mut *sequence, &rows, 2, 0), full);
        }
    }
}

#[test]
fn invalid_rows_are_rejected() {
    let checkpoint = random::checkpoint(&config(false), GgmlDType::F32, 5).unwrap();
    for llama in back_ends(&checkpoint) {
        assert!(llama.sequence(0).is_err());
        let mut sequence = llama.sequence(4).unwrap();
        let row = |token, start| Row::chain(&[token], start).next().unwrap();
        let refused = |sequence: &mut dyn Sequence, rows: &[Row], to: usize| {
            assert!(sequence.forward(rows, to).is_err(), "{rows:?} to {to}");
        };
        refused(&mut *sequence, &[row(101, 0)], 3);
        refused(&mut *sequence, &[row(1, 4)], 3);
        refused(&mut *sequence, &[row(1, 0)], 4);
        refused(&mut *sequence, &[row(1, 1), row(2, 0)], 3);
        let deep = Row {
            depth: 2,
            ..row(1, 0)
        };
        refused(&mut *sequence, &[deep], 3);
        refused(&mut *sequence, &[deep], 1);
        let off = Row {
            position: 1,
            ..row(1, 2)
        };
        refused(&mut *sequence, &[off], 3);
        let own = Row {
            ancestors: Ancestors::Tree(1),
            ..row(1, 0)
        };
        refused(&mut *sequence, &[own], 3);
        assert!(sequence.keep(&[0]).is_err());
        sequence.forward(&[row(1, 0), row(2, 1)], 3).unwrap();
        assert!(sequence.keep(&[1, 0]).is_err());
        let unknown = Readout {
            slots: &[2],
            depth: 3,
            vocab: 0,
            probed: false,
        };
        assert!(sequence.logits(&unknown, &mut Vec::new()).is_err());
        sequence.truncate(2);
        refused(&mut *sequence, &[row(1, 1)], 3);
        assert_eq!(sequence.len(), 2);
    }
}

#[test]
fn invalid_shapes_are_reported() {
    let refused =
        |checkpoint: &Checkpoint| match super::load(checkpoint, &Device::Cpu, Some(1), &mut |_| ())
        {
            Ok(_) => panic!("loaded"),
            Err(error) => error.to_string(),
        };
    let mut checkpoint = random::checkpoint(&config(false), GgmlDType::Q8_0, 6).unwrap();
    checkpoint.config.intermediate_size = 128;
    assert!(refused(&checkpoint).contains("blk.0.ffn_gate.weight"));
    checkpoint.config.intermediate_size = 96;
    checkpoint.config.num_layers = 4;
    assert!(refused(&checkpoint).contains("blk.3."));
    checkpoint.config.num_kv_heads = 4;
    assert!(refused(&checkpoint).contains("evenly"));
    checkpoint.config.head_dim = 0;
    assert!(refused(&checkpoint).contains("head size"));
}
