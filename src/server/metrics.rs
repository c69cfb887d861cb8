//! `/metrics` for Prometheus. Counters of speculation have vLLM's names, which existing dashboards use.

use super::api::figures::finish_reason;
use crate::engine::decode::{DraftCount, Finished, Proposer, Round, Stats};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts since the server started.
#[derive(Default)]
pub struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    stats: Stats,
    /// Rounds, drafted and accepted tokens by exit layer.
    by_exit: BTreeMap<usize, Stats>,
    by_reason: BTreeMap<&'static str, u64>,
    prompt_tokens: u64,
    cached_tokens: u64,
    prefill_seconds: f64,
    sequences: usize,
    sequence_bytes: u64,
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Counts are consistent after each statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn round(&self, round: &Round) {
        let mut counts = self.counts();
        counts.stats.add(round);
        let early = round.drafted().first();
        if early.is_some_and(|token| token.proposer.exits()) {
            let exit_layer = round.settings.exit_layer;
            counts.by_exit.entry(exit_layer).or_default().add(round);
        }
    }

    /// Counts a completed continuation of a prompt, of which `cached` tokens were in the cache.
    pub fn finished(&self, prompt: usize, cached: usize, finished: &Finished) {
        let mut counts = self.counts();
        counts.prompt_tokens += prompt as u64;
        counts.cached_tokens += cached as u64;
        counts.prefill_seconds += finished.stats.prefill_seconds;
        *counts
            .by_reason
            .entry(finish_reason(&finished.stop))
            .or_default() += 1;
    }

    /// Totals over all rounds.
    pub fn stats(&self) -> Stats {
        self.counts().stats.clone()
    }

    /// Sets the number and bytes of kept sequences.
    pub fn pool(&self, sequences: usize, bytes: u64) {
        let mut counts = self.counts();
        (counts.sequences, counts.sequence_bytes) = (sequences, bytes);
    }

    /// Everything in Prometheus' text format, with the number of waiting jobs, whether one is running, and the number
    /// of clients with their own engine.
    ///
    /// # Errors
    /// Never: writing to a string cannot fail.
    pub fn text(&self, waiting: usize, busy: bool, clients: usize) -> Result<String, fmt::Error> {
        let counts = self.counts();
        let stats = &counts.stats;
        let mut out = Page(String::new());
        out.gauge(
            "vllm:num_requests_waiting",
            "Requests in the queue.",
            waiting as f64,
        )?;
        out.gauge(
            "vllm:num_requests_running",
            "Requests being answered.",
            f64::from(u8::from(busy)),
        )?;
        let one = |value: f64| vec![(String::new(), value)];
        let mut counter = |name: &str, help: &str, values: Vec<(String, f64)>| {
            out.metric("counter", name, help, values)
        };
        counter(
            "vllm:prompt_tokens_total",
            "Prompt tokens, cached ones included.",
            one(counts.prompt_tokens as f64),
        )?;
        counter(
            "vllm:generation_tokens_total",
            "Generated tokens.",
            one(stats.tokens as f64),
        )?;
        counter(
            "vllm:request_success_total",
            "Completed choices by the reason they ended.",
            labelled("finished_reason", &counts.by_reason, |n| *n as f64),
        )?;
        counter(
            "vllm:spec_decode_num_drafts_total",
            "Rounds that drafted.",
            one(stats.speculated_rounds as f64),
        )?;
        counter(
            "vllm:spec_decode_num_draft_tokens_total",
            "Drafted tokens.",
            one(stats.drafted as f64),
        )?;
        counter(
            "vllm:spec_decode_num_accepted_tokens_total",
            "Drafted tokens that were accepted.",
            one(stats.accepted as f64),
        )?;
        let positions: BTreeMap<usize, usize> = stats
            .by_position
            .iter()
            .map(|count| count.accepted)
            .enumerate()
            .collect();
        counter(
            "vllm:spec_decode_num_accepted_tokens_per_pos_total",
            "Accepted tokens by position in the draft.",
            labelled("position", &positions, |n| *n as f64),
        )?;
        type DraftedBy = fn(&DraftCount) -> usize;
        let by_proposer: [(&str, &str, DraftedBy); 2] = [
            ("draft_tokens", "Drafted tokens by proposer.", |count| {
                count.drafted
            }),
            ("accepted_tokens", "Accepted tokens by proposer.", |count| {
                count.accepted
            }),
        ];
        for (name, help, of) in by_proposer {
            let counts: BTreeMap<String, usize> = Proposer::ALL
                .into_iter()
                .map(|by| (by.name().replace(' ', "-"), of(&stats.by_proposer.of(by))))
                .collect();
            counter(
                &format!("skiplens:spec_decode_num_{name}_by_proposer_total"),
                help,
                labelled("proposer", &counts, |n| *n as f64),
            )?;
        }
        type Count = fn(&Stats) -> usize;
        let by_exit: [(&str, &str, Count); 3] = [
            ("drafts", "Rounds that drafted, by exit layer.", |s| {
                s.speculated_rounds
            }),
            ("draft_tokens", "Drafted tokens by exit layer.", |s| {
                s.drafted
            }),
            ("accepted_tokens", "Accepted tokens by exit layer.", |s| {
                s.accepted
            }),
        ];
        for (name, help, of) in by_exit {
            counter(
                &format!("skiplens:spec_decode_num_{name}_total"),
                help,
                labelled("exit_layer", &counts.by_exit, |stats| of(stats) as f64),
            )?;
        }
        counter(
            "skiplens:cached_prompt_tokens_total",
            "Prompt tokens found in kept sequences.",
            one(counts.cached_tokens as f64),
        )?;
        for (name, help, seconds) in [
            ("prefill", "Seconds of prefill.", counts.prefill_seconds),
            ("draft", "Seconds of drafting.", stats.draft_seconds),
            (
                "verify",
                "Seconds of verifying and of plain steps.",
                stats.verify_seconds,
            ),
        ] {
            counter(
                &format!("skiplens:{name}_seconds_total"),
                help,
                one(seconds),
            )?;
        }
        out.gauge(
            "skiplens:engine_clients",
            "Connected playgrounds and watchers.",
            clients as f64,
        )?;
        out.gauge(
            "skiplens:sequences",
            "Kept sequences.",
            counts.sequences as f64,
        )?;
        out.gauge(
            "skiplens:sequence_bytes",
            "Bytes of kept sequences.",
            counts.sequence_bytes as f64,
        )?;
        Ok(out.0)
    }
}

fn labelled<K: fmt::Display, V>(
    label: &str,
    values: &BTreeMap<K, V>,
    number: impl Fn(&V) -> f64,
) -> Vec<(String, f64)> {
    let one = |(key, value)| (format!("{{{label}=\"{key}\"}}"), number(value));
    values.iter().map(one).collect()
}

/// A page of metrics.
struct Page(String);

impl Page {
    fn metric(
        &mut self,
        kind: &str,
        name: &str,
        help: &str,
        values: Vec<(String, f64)>,
    ) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        for (labels, value) in values {
            writeln!(self.0, "{name}{labels} {value}")?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.metric("gauge", name, help, vec![(String::new(), value)])
    }
}
