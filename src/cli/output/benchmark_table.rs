//! The table of a benchmark.

use crate::engine::decode::Controller;
use crate::eval::benchmark::{Report, StrategySummary};
use crate::eval::interval::Interval;
use crate::plural::counted;
use std::fmt::{Error, Write};

/// A table of both strategies, each figure with its 95 % interval.
pub fn benchmark_table(report: &Report, source: &str) -> Result<String, Error> {
    let Some(summary) = &report.summary else {
        return Ok(String::new());
    };
    let key = &report.key;
    let mut out = String::new();
    let samples = counted(summary.samples, "sample");
    writeln!(
        out,
        "{} · {} · {samples} of {} ({source})",
        key.model.name, key.machine.device, key.dataset.name
    )?;
    if let Some(other) = &summary.speculative {
        let settings = &key.settings;
        let drafts = match other.acceptance_rate {
            Some(_) if settings.controller == Controller::Auto => "auto".into(),
            Some(_) => format!("E {} K {}", settings.exit_layer, settings.num_speculations),
            None => format!(
                "early exit after {}, not verified",
                counted(settings.exit_layer, "layer")
            ),
        };
        writeln!(
            out,
            "autoregressive against {drafts}; 95 % intervals in brackets"
        )?;
    }
    writeln!(out)?;
    for (name, digits, of) in FIGURES {
        row(
            &mut out,
            name,
            digits,
            &summary.autoregressive,
            summary.speculative.as_ref(),
            of,
        )?;
    }
    if let Some(other) = summary
        .speculative
        .as_ref()
        .filter(|other| !other.acceptance_by_position.is_empty())
    {
        let shares: Vec<String> = (other.acceptance_by_position.iter())
            .map(|share| format!("{:.0}", share * 100.0))
            .collect();
        writeln!(
            out,
            "{:<34}{:>26}{:>28}",
            "acceptance by position, %",
            "",
            shares.join(" ")
        )?;
    }
    if let Some(comparison) = &summary.comparison {
        writeln!(out)?;
        let speedup = |speedup: Option<Interval>| {
            speedup.map_or_else(|| "–".into(), |speedup| number(speedup, 2))
        };
        writeln!(
            out,
            "speed-up, mean of ratios of time per token (the paper's): {}",
            speedup(comparison.speedup_mean_of_ratios)
        )?;
        writeln!(
            out,
            "speed-up, ratio of tokens per second over all samples:    {}",
            speedup(comparison.speedup_ratio_of_speeds)
        )?;
        writeln!(
            out,
            "same text in {} of {}",
            comparison.same_text, summary.samples
        )?;
    }
    Ok(out)
}

type Figure = (
    &'static str,
    usize,
    fn(&StrategySummary) -> Option<Interval>,
);

const FIGURES: [Figure; 16] = [
    ("decode, tokens/s", 1, |of| of.decode_tokens_per_second),
    ("prefill, tokens/s", 0, |of| of.prefill_tokens_per_second),
    ("time to first token, s", 3, |of| of.time_to_first_token),
    ("with prefill: total time, s", 3, |of| of.total_time),
    ("with prefill: time per token, s", 5, |of| of.time_per_token),
    ("with prefill: tokens/s", 1, |of| of.tokens_per_second),
    ("acceptance (accepted/drafted)", 3, |of| of.acceptance_rate),
    ("mean accepted length", 2, |of| of.mean_accepted_length),
    ("samples with a reference", 0, |of| {
        let value = of.scores.as_ref()?.references as f64;
        Some(Interval {
            value,
            low: value,
            high: value,
        })
    }),
    ("ROUGE-1", 3, |of| of.scores.as_ref()?.rouge_1),
    ("ROUGE-2", 3, |of| of.scores.as_ref()?.rouge_2),
    ("ROUGE-3", 3, |of| of.scores.as_ref()?.rouge_3),
    ("ROUGE-L", 3, |of| of.scores.as_ref()?.rouge_l),
    ("BLEU-4", 3, |of| of.scores.as_ref()?.bleu_4),
    ("edit distance, characters", 0, |of| {
        of.scores.as_ref()?.edit_distance
    }),
    ("exact match", 3, |of| of.scores.as_ref()?.exact_match),
];

/// A row, if either strategy has the figure.
fn row(
    out: &mut String,
    name: &str,
    digits: usize,
    plain: &StrategySummary,
    other: Option<&StrategySummary>,
    of: fn(&StrategySummary) -> Option<Interval>,
) -> Result<(), Error> {
    let (plain, other) = (of(plain), other.and_then(of));
    if plain.is_none() && other.is_none() {
        return Ok(());
    }
    let cell =
        |value: Option<Interval>| value.map_or_else(String::new, |value| number(value, digits));
    writeln!(out, "{name:<34}{:>26}{:>28}", cell(plain), cell(other))
}

/// `1.234 [1.200, 1.300]`
pub(super) fn number(interval: Interval, digits: usize) -> String {
    let Interval { value, low, high } = interval;
    // A count, or the figure of a single sample.
    if low == high {
        return format!("{value:.digits$}");
    }
    format!("{value:.digits$} [{low:.digits$}, {high:.digits$}]")
}
