//! The speed of a model on this machine: the phases of speculative decoding.

use crate::engine::Result;
use crate::engine::model::{Model, Readout, Row, Sequence};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Numbers of rows of the measured verify passes.
const VERIFY: [usize; 5] = [1, 2, 4, 8, 16];
/// Position at which decoding is measured.
const CONTEXT: usize = 64;

/// The measurements. All times are medians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    pub device: String,
    /// Instruction set of the CPU kernels, if they were used.
    pub simd: Option<String>,
    pub dtype: String,
    pub weight_bytes: u64,
    /// Read bandwidth of the same threads, or of the GPU, in bytes per second; `None` if not measured.
    pub read_bandwidth: Option<f64>,
    /// One token through all layers and the head.
    pub decode: Phase,
    /// Several tokens in one pass through all layers and the head.
    pub verify: Vec<Verify>,
    /// One token through layers `0..E` and the head.
    pub draft: Vec<Draft>,
    /// A prompt through all layers, and its last row through the head.
    pub prefill: Phase,
    /// Bytes of weights that decoding reads per second.
    pub decode_bandwidth: f64,
}

/// A pass over some tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub tokens: usize,
    pub seconds: f64,
    pub tokens_per_second: f64,
}

/// A verify pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    #[serde(flatten)]
    pub phase: Phase,
    /// Its time ÷ that of one decode step.
    pub decode_steps: f64,
}

/// A draft step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub exit_layer: usize,
    /// Tokens of the reduced head; 0 for all.
    pub draft_vocab: usize,
    pub seconds: f64,
    /// Its time ÷ that of one decode step.
    pub decode_steps: f64,
}

/// What to run.
#[derive(Clone, Copy)]
struct Case {
    rows: usize,
    layers: usize,
    vocab: usize,
    prompt: bool,
}

/// Measures for about `budget`, at least two rounds. The cases alternate, so that noise of the machine affects them
/// alike and ratios hold. Without a budget, measures every phase once, with a shorter prompt.
pub fn measure(model: &dyn Model, draft_vocab: usize, budget: Duration) -> Result<BenchReport> {
    let layers = model.config().num_layers;
    let context = model.config().context_length;
    let prompt = if budget.is_zero() { 64 } else { 256 }.min(context);
    let step = |rows: usize, layers, vocab| Case {
        rows: rows.min(context),
        layers,
        vocab,
        prompt: false,
    };
    let exits = exits(layers, draft_vocab > 0);
    let mut cases = vec![
        Case {
            prompt: true,
            ..step(prompt, layers, 0)
        },
        step(1, layers, 0),
    ];
    cases.extend(VERIFY.map(|rows| step(rows, layers, 0)));
    cases.extend(
        exits
            .iter()
            .map(|&(exit, reduced)| step(1, exit, if reduced { draft_vocab } else { 0 })),
    );
    let times = run(model, &cases, prompt.max(CONTEXT + 16), budget)?;
    let phase = |i: usize| {
        let (tokens, seconds) = (cases[i].rows, times[i]);
        Phase {
            tokens,
            seconds,
            tokens_per_second: tokens as f64 / seconds,
        }
    };
    let decode = phase(1);
    let verify = |i| Verify {
        phase: phase(2 + i),
        decode_steps: times[2 + i] / decode.seconds,
    };
    let draft = |(i, &(exit_layer, reduced)): (usize, &(usize, bool))| {
        let seconds = times[2 + VERIFY.len() + i];
        let draft_vocab = if reduced { draft_vocab } else { 0 };
        Draft {
            exit_layer,
            draft_vocab,
            seconds,
            decode_steps: seconds / decode.seconds,
        }
    };
    Ok(BenchReport {
        device: model.device_name(),
        simd: model.simd().map(str::to_string),
        dtype: model.dtype_name(),
        weight_bytes: model.weight_bytes(),
        read_bandwidth: model.read_bandwidth(),
        decode,
        verify: (0..VERIFY.len()).map(verify).collect(),
        draft: exits.iter().enumerate().map(draft).collect(),
        prefill: phase(0),
        decode_bandwidth: model.step_bytes() as f64 / decode.seconds,
    })
}

/// Exit layers to measure, each with the whole head and, if `reduced`, with the reduced one.
fn exits(layers: usize, reduced: bool) -> Vec<(usize, bool)> {
    let mut exits = [1, layers / 8, layers / 4, layers / 2]
        .map(|e| e.clamp(1, layers))
        .to_vec();
    exits.dedup();
    let heads = if reduced {
        &[false, true][..]
    } else {
        &[false]
    };
    exits
        .iter()
        .flat_map(|&exit| heads.iter().map(move |&reduced| (exit, reduced)))
        .collect()
}

/// Median seconds of each case.
fn run(model: &dyn Model, cases: &[Case], positions: usize, budget: Duration) -> Result<Vec<f64>> {
    let mut pass = Pass {
        vocab: model.config().vocab_size,
        sequence: model.sequence(positions)?,
        rows: Vec::new(),
        slots: Vec::new(),
        out: Vec::new(),
    };
    let mut times = vec![Vec::new(); cases.len()];
    let since = Instant::now();
    let mut prompted = false;
    let (min_rounds, max_warm_ups, samples) = match budget.is_zero() {
        true => (1, 1, 1),
        false => (2, 8, 3),
    };
    for round in 0.. {
        if round >= min_rounds && since.elapsed() >= budget {
            break;
        }
        for (case, times) in cases.iter().zip(&mut times) {
            // The previous case affects caches and clock; a prompt does so for longer.
            let warm_ups = match std::mem::replace(&mut prompted, case.prompt) {
                _ if case.prompt => usize::from(times.is_empty()),
                true => max_warm_ups,
                false => 1,
            };
            for _ in 0..warm_ups {
                pass.time(case)?;
            }
            for _ in 0..if case.prompt { 1 } else { samples } {
                times.push(pass.time(case)?);
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

/// A sequence with the buffers that its passes reuse.
struct Pass {
    vocab: usize,
    sequence: Box<dyn Sequence>,
    rows: Vec<Row>,
    slots: Vec<usize>,
    out: Vec<f32>,
}

impl Pass {
    fn time(&mut self, case: &Case) -> Result<f64> {
        let start = if case.prompt {
            0
        } else {
            CONTEXT.min(self.sequence.capacity() - case.rows)
        };
        self.fill(start, case.layers)?;
        let ids = self.ids(case.rows);
        self.rows.clear();
        self.rows.extend(Row::chain(&ids, start));
        let first = if case.prompt { case.rows - 1 } else { 0 };
        self.slots.clear();
        self.slots.extend(start + first..start + case.rows);
        let since = Instant::now();
        self.sequence.forward(&self.rows, case.layers)?;
        let readout = Readout {
            slots: &self.slots,
            depth: case.layers,
            vocab: case.vocab,
            probed: false,
        };
        self.sequence.logits(&readout, &mut self.out)?;
        Ok(since.elapsed().as_secs_f64())
    }

    /// Fills or truncates the sequence to exactly `positions`.
    fn fill(&mut self, positions: usize, layers: usize) -> Result<()> {
        self.sequence.truncate(positions);
        let kept = self.sequence.len();
        if kept < positions {
            let rows: Vec<Row> = Row::chain(&self.ids(positions - kept), kept).collect();
            self.sequence.forward(&rows, layers)?;
            self.sequence.truncate(positions);
        }
        Ok(())
    }

    fn ids(&self, n: usize) -> Vec<u32> {
        (0..n)
            .map(|i| ((i * 7919 + 13) % self.vocab) as u32)
            .collect()
    }
}

pub(super) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::LlamaConfig;
    use crate::engine::model::{self, random};
    use candle_core::{Device, quantized::GgmlDType};

    #[test]
    fn every_phase_is_measured() {
        let config = LlamaConfig {
            context_length: 128,
            ..random::small()
        };
        let checkpoint = random::checkpoint(&config, GgmlDType::Q8_0, 1).unwrap();
        let model = model::load(&checkpoint, &Device::Cpu, Some(1), &mut |_| ()).unwrap();
        let report = measure(&*model, 16, Duration::ZERO).unwrap();
        assert_eq!(
            report
                .verify
                .iter()
                .map(|v| v.phase.tokens)
                .collect::<Vec<_>>(),
            VERIFY
        );
        assert_eq!(
            report
                .draft
                .iter()
                .map(|d| (d.exit_layer, d.draft_vocab))
                .collect::<Vec<_>>(),
            [(1, 0), (1, 16), (2, 0), (2, 16)]
        );
        assert!(
            report.prefill.tokens == 64
                && report.decode.seconds > 0.0
                && report.decode_bandwidth > 0.0
        );
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<BenchReport>(&json).unwrap().dtype,
            "q8_0"
        );
    }
}
