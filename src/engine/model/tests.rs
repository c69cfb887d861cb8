//! The forward pass against a plain one in f64, and against itself cut differently.

mod reference;

use super::{Hidden, Llama, random};
use crate::engine::cache::KvCache;
use crate::engine::config::{LlamaConfig, RopeScaling};
use crate::engine::kernels::Level;
use crate::engine::weights::Checkpoint;
use candle_core::Device;
use candle_core::quantized::GgmlDType;
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

/// Rows of 256, for the formats with large blocks.
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

/// No size is a multiple of another's.
fn odd() -> LlamaConfig {
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

pub fn load(checkpoint: &Checkpoint) -> Llama {
    Llama::load(checkpoint, &Device::Cpu, Some(1), &mut |_| ()).unwrap()
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

fn ids(n: usize, config: &LlamaConfig) -> Vec<u32> {
    (0..n)
        .map(|i| (i * i * 7 + 3 * i + 5) as u32 % config.vocab_size as u32)
        .collect()
}

fn embed(llama: &Llama, ids: &[u32]) -> Hidden {
    let mut hidden = Hidden::default();
    llama.embed(ids, &mut hidden).unwrap();
    hidden
}

/// Logits of all positions, computed in chunks of the given sizes.
fn logits(llama: &Llama, cache: &mut KvCache, ids: &[u32], chunks: &[usize]) -> Vec<f32> {
    let (mut all, mut out, mut start, mut i) = (Vec::new(), Vec::new(), 0, 0);
    while start < ids.len() {
        let n = chunks[i % chunks.len()].min(ids.len() - start);
        let mut hidden = embed(llama, &ids[start..start + n]);
        llama
            .layers(0..llama.config.num_layers, &mut hidden, start, cache)
            .unwrap();
        llama.head(&hidden, 0, &mut out).unwrap();
        all.extend_from_slice(&out);
        (start, i) = (start + n, i + 1);
    }
    all
}

#[test]
fn logits_agree_with_a_plain_llama() {
    for (dtype, config) in all_dtypes() {
        let checkpoint = random::checkpoint(&config, dtype, 1).unwrap();
        let (llama, ids) = (load(&checkpoint), ids(9, &config));
        let ours = logits(&llama, &mut llama.new_cache(20).unwrap(), &ids, &[9]);
        let plain = Reference(&checkpoint).logits(&ids);
        let size = (plain.iter().map(|x| x * x).sum::<f64>()).sqrt();
        let error = ours
            .iter()
            .zip(&plain)
            .map(|(a, b)| (f64::from(*a) - b).powi(2))
            .sum::<f64>()
            .sqrt()
            / size;
        let most = if dtype.block_size() == 1 { 2e-3 } else { 4e-2 };
        assert!(error < most, "{dtype:?}: relative error {error}");
    }
}

#[test]
fn rows_do_not_depend_on_the_rows_beside_them() {
    for (dtype, config) in all_dtypes() {
        let llama = load(&random::checkpoint(&config, dtype, 2).unwrap());
        let ids = ids(40, &config);
        let one_by_one = logits(&llama, &mut llama.new_cache(40).unwrap(), &ids, &[1]);
        for chunks in [&[40][..], &[3, 1, 7], &[16, 5], &[2, 15, 17]] {
            let together = logits(&llama, &mut llama.new_cache(40).unwrap(), &ids, chunks);
            assert!(one_by_one == together, "{dtype:?} in chunks of {chunks:?}");
        }
    }
}

#[test]
fn threads_and_levels_give_the_same_bits() {
    for (dtype, config) in all_dtypes() {
        let checkpoint = random::checkpoint(&config, dtype, 7).unwrap();
        let ids = ids(21, &config);
        let run = |threads, level| {
            let llama = Llama::load_cpu(&checkpoint, threads, level, &mut |_| ()).unwrap();
            logits(&llama, &mut llama.new_cache(40).unwrap(), &ids, &[16, 1, 3])
        };
        let plain = run(1, Level::PORTABLE);
        for level in Level::available() {
            for threads in [1, 2, 5] {
                assert!(
                    plain == run(threads, level),
                    "{dtype:?} with {threads} threads and {}",
                    level.name()
                );
            }
        }
    }
}

/// Over several pages of the cache, which threads share for few rows.
#[test]
fn long_contexts_give_the_same_bits_however_they_are_shared_out() {
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
        let run = |threads, level, chunks: &[usize]| {
            let llama = Llama::load_cpu(&checkpoint, threads, level, &mut |_| ()).unwrap();
            logits(&llama, &mut llama.new_cache(600).unwrap(), &ids, chunks)
        };
        let best = Level::detect();
        let plain = run(1, best, &[560]);
        let kept = Reference(&checkpoint).logits(&ids);
        let error = plain
            .iter()
            .zip(&kept)
            .map(|(a, b)| (f64::from(*a) - b).abs())
            .fold(0.0, f64::max);
        assert!(
            error < 2e-3 * kept.iter().fold(0.0, |a: f64, b| a.max(b.abs())),
            "{error}"
        );
        for (threads, level, chunks) in [
            (1, Level::PORTABLE, &[250, 9, 1][..]),
            (2, best, &[1]),
            (2, best, &[255, 2]),
            (2, best, &[8]),
            (3, best, &[240, 5, 3, 11]),
            (5, best, &[17, 4]),
        ] {
            assert!(
                plain == run(threads, level, chunks),
                "{threads} threads, {}, {chunks:?}",
                level.name()
            );
        }
    }
}

#[test]
fn tensors_agree_with_the_kernels() {
    use GgmlDType::*;
    for (dtype, config) in all_dtypes()
        .into_iter()
        .filter(|(dtype, _)| !matches!(dtype, Q4_1 | Q5_0 | Q5_1))
    {
        let checkpoint = random::checkpoint(&config, dtype, 8).unwrap();
        let (kernels, ids) = (load(&checkpoint), ids(23, &config));
        let tensors = Llama::load_tensors(&checkpoint, &Device::Cpu, &mut |_| ()).unwrap();
        assert_eq!(
            (kernels.dtype_name(), tensors.device_name().as_str()),
            (tensors.dtype_name(), "cpu")
        );
        let ours = logits(&kernels, &mut kernels.new_cache(40).unwrap(), &ids, &[23]);
        for chunks in [&[23][..], &[5, 1, 9]] {
            let theirs = logits(&tensors, &mut tensors.new_cache(40).unwrap(), &ids, chunks);
            let size = ours.iter().map(|x| x * x).sum::<f32>().sqrt();
            let error = ours
                .iter()
                .zip(&theirs)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>()
                .sqrt()
                / size;
            let most = if dtype.block_size() == 1 { 1e-2 } else { 5e-2 };
            assert!(
                error < most,
                "{dtype:?} in chunks of {chunks:?}: relative difference {error}"
            );
        }
    }
}

#[test]
fn truncated_positions_are_written_again() {
    let llama = load(&random::checkpoint(&config(false), GgmlDType::Q8_0, 3).unwrap());
    let (ids, other) = (ids(300, &llama.config), vec![1; 20]);
    let mut cache = llama.new_cache(400).unwrap();
    let all = logits(&llama, &mut cache, &ids, &[64]);
    let mut cache = llama.new_cache(400).unwrap();
    logits(&llama, &mut cache, &ids[..250], &[64]);
    let mut hidden = embed(&llama, &other);
    llama.layers(0..2, &mut hidden, 250, &mut cache).unwrap();
    cache.truncate(250);
    assert_eq!(cache.len(), 250);
    let mut hidden = embed(&llama, &ids[250..]);
    llama.layers(0..2, &mut hidden, 250, &mut cache).unwrap();
    llama.layers(2..3, &mut hidden, 250, &mut cache).unwrap();
    let mut out = Vec::new();
    llama.head(&hidden, 0, &mut out).unwrap();
    assert!(out == all[250 * llama.config.vocab_size..]);
}

#[test]
fn a_reduced_head_gives_the_same_logits() {
    for tie in [false, true] {
        let mut llama = load(&random::checkpoint(&config(tie), GgmlDType::Q4_0, 4).unwrap());
        let hidden = embed(&llama, &[5, 6, 7]);
        let (mut full, mut part) = (Vec::new(), Vec::new());
        llama.head(&hidden, 0, &mut full).unwrap();
        for order in [
            None,
            Some(vec![
                100, 3, 50, 7, 8, 9, 1, 0, 22, 21, 20, 19, 18, 17, 16, 15, 14, 99,
            ]),
        ] {
            if let Some(order) = order {
                llama.set_draft_order(order).unwrap();
            }
            for vocab in [1, 16, 17, 18] {
                llama.head(&hidden, vocab, &mut part).unwrap();
                let ids = llama.draft_ids(vocab);
                assert_eq!((ids.len(), part.len()), (vocab, 3 * vocab));
                for (row, part) in part.chunks_exact(vocab).enumerate() {
                    for (&id, logit) in ids.iter().zip(part) {
                        assert_eq!(full[row * 101 + id as usize], *logit);
                    }
                }
            }
        }
        assert!(llama.set_draft_order(vec![101]).is_err());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let llama = load(&random::checkpoint(&config(false), GgmlDType::F32, 5).unwrap());
    let mut cache = llama.new_cache(4).unwrap();
    assert!(llama.new_cache(0).is_err());
    assert!(llama.embed(&[101], &mut Hidden::default()).is_err());
    let mut hidden = embed(&llama, &[1, 2, 3, 4, 5]);
    assert!(llama.layers(0..3, &mut hidden, 0, &mut cache).is_err());
    let mut hidden = embed(&llama, &[1]);
    assert!(llama.layers(0..3, &mut hidden, 1, &mut cache).is_err());
    assert!(llama.layers(0..4, &mut hidden, 0, &mut cache).is_err());
    let other = load(&random::checkpoint(&odd(), GgmlDType::F32, 5).unwrap());
    let mut narrow = embed(&other, &[1]);
    assert!(llama.layers(0..1, &mut narrow, 0, &mut cache).is_err());
    assert!(llama.head(&narrow, 0, &mut Vec::new()).is_err());
    assert!(embed(&llama, &[1]).append(&narrow).is_err());
    assert!(cache.is_empty());
}

#[test]
fn misshapen_models_are_named() {
    let refused =
        |checkpoint: &Checkpoint| match Llama::load(checkpoint, &Device::Cpu, Some(1), &mut |_| ())
        {
            Ok(_) => panic!("loaded"),
            Err(error) => error.to_string(),
        };
    let mut checkpoint = random::checkpoint(&config(false), GgmlDType::Q8_0, 6).unwrap();
    checkpoint.config.intermediate_size = 128;
    assert!(refused(&checkpoint).contains("blk.0.ffn_gate.weight"));
    checkpoint.config.intermediate_size = 96;
    checkpoint.config.num_layers = 4;
    assert!(
        refused(&checkpoint).contains("blk.3.attn_q.weight")
            || refused(&checkpoint).contains("blk.3.")
    );
    checkpoint.config.num_kv_heads = 4;
    assert!(refused(&checkpoint).contains("evenly"));
    checkpoint.config.head_dim = 0;
    assert!(refused(&checkpoint).contains("head_dim"));
}

#[test]
fn a_model_can_be_sent_to_a_worker() {
    fn is_send<T: Send>() {}
    is_send::<Llama>();
    is_send::<KvCache>();
}
