//! Runs a whole round without a host round trip: drafts are sampled on the device, and verification continues on their
//! rows.

use super::HEAD_ROWS;
use super::pass::Batch;
use super::sequence::{GpuSequence, pages};
use super::shader::Kernel;
use crate::engine::Result;
use crate::engine::model::{Ancestors, Plan, PlannedRound, Row, check_rows};
use crate::engine::sampling::Sampling;
use crate::engine::sampling::noise::{PositionNoise, Stream};
use bytemuck::{Pod, Zeroable};

/// As `Choice` in choose.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Choice {
    noise: [u32; 2],
    inverse_temperature: f32,
    cut: f32,
    top_k: u32,
    top_p: f32,
    pad: [u32; 2],
}

impl Choice {
    /// How the token at `position` is chosen.
    pub(super) fn new(sampling: &Sampling, position: usize) -> Self {
        let noise = PositionNoise::new(sampling.seed, position, Stream::Gumbel).bits();
        let cut = match sampling.min_p > 0.0 {
            true => -sampling.min_p.ln(),
            false => f32::MAX,
        };
        Self {
            noise: [noise as u32, (noise >> 32) as u32],
            inverse_temperature: match sampling.greedy() {
                true => 0.0,
                false => sampling.temperature.recip(),
            },
            cut,
            top_k: sampling.top_k as u32,
            top_p: sampling.top_p,
            pad: [0; 2],
        }
    }
}

/// The kernel that chooses among `width` columns.
pub(super) fn chooser(sampling: &Sampling, width: usize) -> Kernel {
    let filters = !sampling.greedy();
    Kernel::Choose {
        top_k: filters && (1..width).contains(&sampling.top_k),
        top_p: filters && sampling.top_p < 1.0,
    }
}

/// Whether the device can sample drafts as the host would. It lacks the history that penalties need.
fn chooses(sampling: &Sampling) -> bool {
    let penalised = sampling.repetition_penalty != 1.0 || sampling.no_repeat_ngram > 0;
    !penalised && !sampling.rejects()
}

impl GpuSequence {
    pub(super) fn planned_round(&mut self, plan: &Plan) -> Result<Option<PlannedRound>> {
        let (weights, drafts) = (self.weights.clone(), plan.max_drafts);
        let layers = weights.config.num_layers;
        let (products, width) = weights.head_products(plan.draft_vocab);
        let supported = drafts > 0
            && drafts < HEAD_ROWS
            && plan.last.ancestors == Ancestors::Chain
            && self.probe.is_none()
            && chooses(plan.sampling);
        if !supported {
            return Ok(None);
        }
        let rows: Vec<Row> = (0..=drafts)
            .map(|i| Row {
                position: plan.last.position + i,
                slot: plan.last.slot + i,
                ..plan.last
            })
            .collect();
        check_rows(&rows, layers, &weights.config, self.len, self.capacity)?;
        let last = plan.last.slot + drafts;
        self.reserve(last)?;

        // One batch for the layers of each row, one for the head of each draft, and two for the verifier.
        let n = rows.len();
        let pages = pages(&rows);
        let batch = Batch {
            n: 1,
            kept: self.len as u32,
            pages: pages as u32,
            ..Batch::default()
        };
        let mut batches: Vec<Batch> = (0..n as u32).map(|i| Batch { first: i, ..batch }).collect();
        batches.extend((0..drafts as u32).map(|i| Batch {
            first: i,
            out_row: HEAD_ROWS as u32 + i,
            step: i,
            ..batch
        }));
        let verify = batches.len();
        batches.push(Batch {
            n: n as u32,
            ..batch
        });
        let choices: Vec<Choice> = rows
            .iter()
            .map(|row| Choice::new(plan.sampling, row.position + 1))
            .collect();

        let gpu = &weights.gpu;
        let mut scratch = Self::scratch(&weights);
        weights.upload(&mut scratch, &rows, self.len, &batches)?;
        gpu.queue
            .write_buffer(&scratch.choices, 0, bytemuck::cast_slice(&choices));
        let dims = gpu.uniform(&[weights.config.vocab_size as u32, width as u32, 0, 0])?;
        let ids = match plan.draft_vocab {
            0 => &weights.all_ids,
            _ => &weights.draft_ids,
        };
        let choose = gpu.choose_group([
            &weights.logits,
            ids,
            &scratch.choices,
            &scratch.tokens,
            &dims,
        ]);
        let ranges = [
            (HEAD_ROWS, drafts, width),
            (0, n, weights.config.vocab_size),
        ];
        let logit_bytes: usize = ranges.iter().map(|(_, rows, width)| rows * width * 4).sum();
        let bytes = (logit_bytes + n * 4) as u64;
        weights.grow_staging(&mut scratch, bytes)?;

        let mut recorder = self.recorder(1, pages);
        for i in 0..n {
            recorder.select(i, 1);
            weights.embed(&mut recorder);
            for layer in 0..plan.exit_layer {
                weights.layer(&mut recorder, &scratch, layer, self.cache.group(layer));
            }
            if i < drafts {
                recorder.select(n + i, 1);
                weights.head(&mut recorder, products, width);
                recorder.run(chooser(plan.sampling, width), &[&choose], [1, 1, 1]);
            }
        }
        recorder.select(verify, n);
        for layer in plan.exit_layer..layers {
            weights.layer(&mut recorder, &scratch, layer, self.cache.group(layer));
        }
        weights.head(&mut recorder, &weights.head, usize::MAX);
        let mut encoder = recorder.finish();
        let at = weights.copy_logits(&scratch, &mut encoder, &ranges);
        encoder.copy_buffer_to_buffer(&scratch.tokens, 0, &scratch.staging, at, Some(n as u64 * 4));

        let mut round = PlannedRound::default();
        gpu.read(encoder, &scratch.staging, bytes, |bytes| {
            let words: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
            let floats = |words: &[u32]| words.iter().copied().map(f32::from_bits).collect();
            let (draft, rest) = words.split_at(drafts * width);
            let (verify, tokens) = rest.split_at(n * weights.config.vocab_size);
            round = PlannedRound {
                drafted: tokens[1..].to_vec(),
                draft_logits: floats(draft),
                verify_logits: floats(verify),
            };
        })?;
        for depth in &mut self.depths[..n] {
            *depth = Some(layers);
        }
        Ok(Some(round))
    }
}
