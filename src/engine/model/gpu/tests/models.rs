//! Whole models: against f64, over chunks, pages and trees, and over many loads.

use super::super::{Gpu, GpuModel, SplitModel, choose};
use super::{float_gpu, gpu, load, load_whole_and_split};
use crate::engine::config::LlamaConfig;
use crate::engine::model::tests::{
    all_dtypes, branch, config, extend, ids, logits, read, relative_error, tree,
};
use crate::engine::model::tests::{odd, reference::Reference, wide};
use crate::engine::model::{Readout, Row, Sequence, random};
use crate::engine::splitmix::SplitMix64;
use candle_core::quantized::GgmlDType;

#[test]
fn logits_agree_with_a_plain_llama_and_do_not_depend_on_chunks() {
    let (Some(gpu), Some(float)) = (gpu(), float_gpu()) else {
        return;
    };
    for (dtype, config) in all_dtypes() {
        let checkpoint = random::checkpoint(&config, dtype, 1).unwrap();
        let model = load(&checkpoint, &gpu);
        let ids = ids(40, &config);
        let ours = logits(&*model, 40, &ids, &[1]);
        // Even with the same rounding, a number on the edge between two bytes may fall to either side.
        let (from_exact, from_rounded) = match dtype.block_size() {
            1 => (2e-3, 2e-3),
            _ => (4e-2, 1.5e-2),
        };
        for (reference, max) in [
            (Reference::exact(&checkpoint), from_exact),
            (Reference::rounded(&checkpoint), from_rounded),
        ] {
            let error = relative_error(&reference.logits(&ids), &ours);
            assert!(error < max, "{dtype:?}: relative error {error}, not {max}");
        }
        for chunks in [&[40][..], &[3, 1, 7], &[16, 5], &[2, 15, 17]] {
            let together = logits(&*model, 40, &ids, chunks);
            assert!(ours == together, "{dtype:?} in chunks of {chunks:?}");
        }
        let floats = logits(&*load(&checkpoint, &float), 40, &ids, &[9]);
        assert!(ours == floats, "{dtype:?} with float products");
    }
}

#[test]
fn long_contexts_grow_over_pages_and_have_the_same_bits_in_any_chunks() {
    let Some(gpu) = gpu() else { return };
    // Attention over one page has a kernel of its own for the heads of the last one, which must agree with the others in
    // all bits.
    for config in [config(true), odd(), wide()] {
        let checkpoint = random::checkpoint(&config, GgmlDType::F32, 9).unwrap();
        let model = load(&checkpoint, &gpu);
        let ids = ids(560, &config);
        let plain = logits(&*model, 600, &ids, &[560]);
        let kept = Reference::exact(&checkpoint).logits(&ids);
        let error = relative_error(&kept, &plain);
        assert!(error < 2e-3, "{error}");
        for chunks in [&[255, 2][..], &[64], &[240, 5, 3, 11]] {
            assert!(plain == logits(&*model, 600, &ids, chunks), "{chunks:?}");
        }
        let mut sequence = model.sequence(600).unwrap();
        assert_eq!(sequence.memory(), 0);
        let mut sizes = Vec::new();
        for start in [0, 250, 260, 520] {
            let rows: Vec<Row> = Row::chain(&ids[start..start + 10], start).collect();
            sequence.forward(&rows, 1).unwrap();
            sizes.push(sequence.memory());
        }
        let page = (config.num_layers * config.num_kv_heads * config.head_dim * 256 * 4) as u64;
        assert_eq!(sizes, [page, 2 * page, 2 * page, 3 * page]);
    }
}

/// A node's logits equal those of its branch decoded alone, bit for bit, within a page and across two; keeping a branch
/// gives the same state as decoding it alone.
#[test]
fn a_tree_node_attends_only_to_its_branch() {
    let Some(gpu) = gpu() else { return };
    let mut random = SplitMix64(21);
    for (case, start) in [7, 30, 249, 256, 262].into_iter().enumerate() {
        let config = LlamaConfig {
            // With two query heads of 16 to a key-value head, attention over one page has a kernel of its own.
            num_heads: if (2..=3).contains(&case) { 4 } else { 6 },
            ..config(case % 2 == 0)
        };
        let dtype = [GgmlDType::F32, GgmlDType::Q8_0][case % 2];
        let checkpoint = random::checkpoint(&config, dtype, case as u64).unwrap();
        let [whole, split] = load_whole_and_split(&checkpoint, &gpu);
        let model = if case % 3 == 1 { split } else { whole };
        let text = ids(start, &config);
        let nodes = 11;
        let tokens: Vec<u32> = (0..nodes).map(|_| random.next_u64() as u32 % 101).collect();
        let parents: Vec<Option<usize>> = (0..nodes as u64)
            .map(|i| {
                random
                    .next_u64()
                    .checked_rem(i)
                    .map(|parent| parent as usize)
            })
            .collect();
        let mut sequence = model.sequence(400).unwrap();
        extend(&*model, &mut *sequence, &text, &[64]);
        let mut rows = tree(&tokens, &parents, start);
        let depth = case % 3;
        sequence.forward(&rows, depth).unwrap();
        rows.iter_mut().for_each(|row| row.depth = depth);
        sequence.forward(&rows, 3).unwrap();
        let got = read(&mut *sequence, &rows, 3, 0);
        let vocab = config.vocab_size;
        let alone = |path: &[usize], more: &[u32]| {
            let path = path.iter().map(|&i| tokens[i]);
            let ids: Vec<u32> = text
                .iter()
                .copied()
                .chain(path)
                .chain(more.to_vec())
                .collect();
            let all = logits(&*model, 400, &ids, &[64]);
            all[all.len() - vocab..].to_vec()
        };
        for node in 0..nodes {
            let want = alone(&branch(&parents, node), &[]);
            assert!(
                got[node * vocab..][..vocab] == want,
                "node {node} of {parents:?}"
            );
        }
        let path = branch(&parents, nodes - 1);
        let slots: Vec<usize> = path.iter().map(|node| start + node).collect();
        sequence.keep(&slots).unwrap();
        let last = Row {
            slot: start + path.len() - 1,
            ..rows[0]
        };
        let kept = read(&mut *sequence, &[last], 3, 0);
        assert!(kept == alone(&path, &[]), "states move with their rows");
        sequence.truncate(start + path.len());
        let next = extend(&*model, &mut *sequence, &[7], &[1]);
        assert!(next == alone(&path, &[7]), "after keeping {path:?}");
    }
}

#[test]
fn rows_of_different_depths_share_a_pass() {
    let Some(gpu) = gpu() else { return };
    let checkpoint = random::checkpoint(&config(true), GgmlDType::Q8_0, 11).unwrap();
    let models = load_whole_and_split(&checkpoint, &gpu);
    let ids = ids(30, models[0].config());
    let all = logits(&*models[0], 40, &ids, &[30]);
    let depths = [[2, 2, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0]];
    for (model, depths) in models
        .iter()
        .flat_map(|model| depths.map(|depths| (model, depths)))
    {
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
        assert!(out == all[24 * 101..], "from depths {depths:?}");
    }
}

#[test]
fn probed_states_equal_those_of_an_exit() {
    let Some(gpu) = gpu() else { return };
    let checkpoint = random::checkpoint(&config(false), GgmlDType::F32, 12).unwrap();
    let models = load_whole_and_split(&checkpoint, &gpu);
    let plain_rows: Vec<Row> = Row::chain(&[4, 5, 6], 0).collect();
    for probe in [1, 2] {
        let mut plain = models[0].sequence(9).unwrap();
        plain.forward(&plain_rows, probe).unwrap();
        let want = read(&mut *plain, &plain_rows, probe, 0);
        for (model, depth) in models
            .iter()
            .flat_map(|model| [0, 1, 2].map(|d| (model, d)))
        {
            let mut sequence = model.sequence(9).unwrap();
            sequence.probe(Some(probe));
            let mut rows = plain_rows.clone();
            sequence.forward(&rows, depth).unwrap();
            rows.iter_mut().for_each(|row| row.depth = depth);
            sequence.forward(&rows, 3).unwrap();
            let readout = Readout {
                slots: &[0, 1, 2],
                depth: probe,
                vocab: 0,
                probed: true,
            };
            let mut out = Vec::new();
            sequence.logits(&readout, &mut out).unwrap();
            let device = model.device_name();
            assert!(
                want == out,
                "{device}: drafted to {depth}, probed at {probe}"
            );
        }
    }
}

#[test]
fn a_reduced_head_gives_the_same_logits() {
    let Some(gpu) = gpu() else { return };
    for (dtype, config) in [
        (GgmlDType::Q4_0, config(false)),
        (GgmlDType::Q5K, wide()),
        (GgmlDType::F16, config(true)),
    ] {
        let checkpoint = random::checkpoint(&config, dtype, 4).unwrap();
        let [whole, split] = load_whole_and_split(&checkpoint, &gpu);
        let orders = [None, Some(vec![100, 3, 50, 7, 8, 9, 1, 0, 22, 21, 99])];
        let mut model = if dtype == GgmlDType::F16 {
            split
        } else {
            whole
        };
        for order in orders {
            if let Some(order) = order {
                model.set_draft_order(order).unwrap();
            }
            let mut sequence = model.sequence(9).unwrap();
            let rows: Vec<Row> = Row::chain(&[5, 6, 7], 0).collect();
            sequence.forward(&rows, 2).unwrap();
            let full = read(&mut *sequence, &rows, 2, 0);
            for vocab in [1, 8, 9, 11] {
                let part = read(&mut *sequence, &rows, 2, vocab);
                let ids = model.draft_order().ids(vocab);
                for (row, part) in part.chunks_exact(vocab).enumerate() {
                    for (&id, logit) in ids.iter().zip(part) {
                        assert_eq!(full[row * 101 + id as usize], *logit);
                    }
                }
            }
            assert!(
                model.set_draft_order(vec![5]).is_err(),
                "a sequence is in use"
            );
        }
    }
}

#[test]
fn invalid_rows_are_rejected() {
    let Some(gpu) = gpu() else { return };
    let checkpoint = random::checkpoint(&config(false), GgmlDType::F32, 5).unwrap();
    for model in load_whole_and_split(&checkpoint, &gpu) {
        assert!(model.sequence(0).is_err());
        rejects_invalid_rows(&mut *model.sequence(4).unwrap());
    }
    let gpus = vec![gpu; 4];
    let error = SplitModel::load(&checkpoint, &gpus, &mut |_| ())
        .err()
        .unwrap();
    assert!(error.to_string().contains("3 layers"), "{error}");
}

fn rejects_invalid_rows(sequence: &mut dyn Sequence) {
    let row = |token, start| Row::chain(&[token], start).next().unwrap();
    let refused = |sequence: &mut dyn Sequence, rows: &[Row]| {
        assert!(sequence.forward(rows, 3).is_err(), "{rows:?}");
    };
    refused(sequence, &[row(101, 0)]);
    refused(sequence, &[row(1, 4)]);
    let deep = Row {
        depth: 2,
        ..row(1, 0)
    };
    refused(sequence, &[deep]);
    assert!(sequence.keep(&[0]).is_err());
    let readout = Readout {
        slots: &[0],
        depth: 3,
        vocab: 0,
        probed: false,
    };
    sequence.forward(&[row(1, 0)], 1).unwrap();
    assert!(sequence.logits(&readout, &mut Vec::new()).is_err());
    sequence.forward(&[row(1, 0), row(2, 1)], 3).unwrap();
    assert!(sequence.keep(&[1, 0]).is_err());
    sequence.truncate(2);
    refused(sequence, &[row(1, 1)]);
    assert_eq!(sequence.len(), 2);
}

#[test]
fn a_lost_device_is_an_error_that_offers_the_cpu() {
    if gpu().is_none() {
        return;
    }
    let (info, adapter) = choose(None).unwrap();
    let lost = Gpu::open(info, &adapter).unwrap();
    let checkpoint = random::checkpoint(&config(true), GgmlDType::Q8_0, 31).unwrap();
    let model = load(&checkpoint, &lost);
    let mut sequence = model.sequence(20).unwrap();
    let rows: Vec<Row> = Row::chain(&[1, 2], 0).collect();
    sequence.forward(&rows, 3).unwrap();
    lost.device.destroy();
    let slots = [0, 1];
    let readout = Readout {
        slots: &slots,
        depth: 3,
        vocab: 0,
        probed: false,
    };
    let error = sequence.logits(&readout, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("--device cpu"), "{error}");
    assert!(sequence.forward(&rows, 3).is_err());
    assert!(GpuModel::load(&checkpoint, lost, &mut |_| ()).is_err());
}

/// Models and sequences come and go: their memory comes back, and the one that stays is not affected.
#[test]
fn many_loads_and_unloads_leave_memory_and_other_models_alone() {
    if gpu().is_none() {
        return;
    }
    // A device of its own, whose allocations no other test changes.
    let (info, adapter) = choose(None).unwrap();
    let gpu = Gpu::open(info, &adapter).unwrap();
    let checkpoint = random::checkpoint(&config(true), GgmlDType::Q8_0, 30).unwrap();
    let kept = load(&checkpoint, &gpu);
    let ids = ids(20, kept.config());
    let want = logits(&*kept, 40, &ids, &[20]);
    let mut allocated = None;
    for seed in 0..50 {
        let other = random::checkpoint(&config(seed % 2 == 0), GgmlDType::Q4_0, seed).unwrap();
        let model = load(&other, &gpu);
        logits(&*model, 40, &ids, &[7]);
        if seed % 10 == 0 {
            assert!(
                want == logits(&*kept, 40, &ids, &[20]),
                "after {seed} loads"
            );
        }
        drop(model);
        // What is dropped is freed when the device is next polled.
        gpu.wait().unwrap();
        if let Some(report) = gpu.device.generate_allocator_report() {
            let now = (report.allocations.len(), report.total_allocated_bytes);
            // The first load compiles kernels and makes buffers for uploads.
            if seed == 1 {
                allocated = Some((now, report.total_reserved_bytes));
            }
            if let Some((first, reserved)) = allocated {
                assert_eq!(now, first, "allocations and bytes after {seed} loads");
                assert!(report.total_reserved_bytes <= reserved);
            }
        }
    }
    gpu.check().unwrap();
}
