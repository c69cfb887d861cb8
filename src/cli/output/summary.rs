//! The summary of a run.

use crate::engine::decode::{Controller, Proposers, Settings, Stats, StopReason, Strategy};
use crate::plural::counted;

/// A summary of a run on a prompt of `prompt` tokens, in a few lines. `settings` are the requested ones.
pub fn summary(prompt: usize, stats: &Stats, stop: &StopReason, settings: &Settings) -> String {
    let mut line = format!(
        "prompt {} in {:.2} s{} · generated {} in {:.2} s{}",
        tokens(prompt),
        stats.prefill_seconds,
        // The last token of the prompt is computed with the first round.
        speed(stats.prefill_tokens, stats.prefill_seconds),
        tokens(stats.tokens),
        stats.decode_seconds(),
        speed(stats.tokens, stats.decode_seconds()),
    );
    if let (Some(rate), Some(length)) = (stats.acceptance_rate(), stats.mean_accepted_length()) {
        let positions: Vec<String> = stats
            .acceptance_by_position()
            .iter()
            .map(|p| format!("{:.0}", p * 100.0))
            .collect();
        line += &format!(
            "\n{} · {:.1} % of {} accepted ({}/{}) · by {} {} % · {length:.2} tokens per drafted round",
            way(settings),
            rate * 100.0,
            if settings.tree > 0 { "nodes" } else { "drafts" },
            stats.accepted,
            stats.drafted,
            if settings.tree > 0 {
                "depth"
            } else {
                "position"
            },
            positions.join(" "),
        );
        if stats.by_proposer.lookup.drafted > 0 {
            let counts: Vec<String> = stats
                .by_proposer
                .used()
                .map(|(by, count)| format!("{} {}/{}", by.name(), count.accepted, count.drafted))
                .collect();
            line += &format!("\naccepted by proposer: {}", counts.join(", "));
        }
    } else if settings.strategy == Strategy::EarlyExit {
        line += &format!("\nE {} · early exit, not verified", settings.exit_layer);
    }
    line + &format!("\n{stop}")
}

/// How the run drafted: `E 6 K 2`, `E 6 K 2, tree of 8`, `controller auto`.
fn way(settings: &Settings) -> String {
    let (exit, speculations) = (settings.exit_layer, settings.num_speculations);
    match (settings.controller, settings.proposers, settings.tree) {
        (Controller::Auto, ..) => "controller auto".into(),
        (_, Proposers::Lookup, _) => format!("lookup K {speculations}"),
        (_, _, 0) => format!("E {exit} K {speculations}"),
        (.., nodes) => format!("E {exit} K {speculations}, tree of {nodes}"),
    }
}

fn tokens(count: usize) -> String {
    counted(count, "token")
}

/// ` (12.3 tokens/s)`; empty if nothing was computed.
fn speed(tokens: usize, seconds: f64) -> String {
    if tokens > 0 && seconds > 0.0 {
        format!(" ({:.1} tokens/s)", tokens as f64 / seconds)
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefill computes all tokens of a prompt but the last; the summary counts all.
    #[test]
    fn a_prompt_of_one_token_is_one_token() {
        let stats = Stats {
            tokens: 1,
            ..Stats::default()
        };
        let line = summary(1, &stats, &StopReason::MaxSteps, &Settings::default());
        assert!(
            line.starts_with("prompt 1 token in 0.00 s · generated 1 token in"),
            "{line}"
        );
    }

    #[test]
    fn early_exit_is_said_to_be_unverified() {
        let settings = Settings {
            strategy: Strategy::EarlyExit,
            exit_layer: 4,
            ..Settings::default()
        };
        let line = summary(3, &Stats::default(), &StopReason::MaxSteps, &settings);
        assert!(
            line.contains("\nE 4 · early exit, not verified\n"),
            "{line}"
        );
    }
}
