//! Descriptions of a session's facts, shared by all formats.

use crate::engine::decode::{KeptToken, Proposer, Proposers, Round, Settings, Stats, Strategy};
use crate::engine::prompt::Role;
use crate::engine::sampling::Sampling;
use crate::plural::counted;
use crate::safe_text;
use crate::transcript::{ModelRecord, Outcome, Run, Session, Turn, Zone, moment};
use std::collections::BTreeSet;

/// A fraction as a percentage, `71.4 %`; `–` for `None`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0))
}

/// A number with `digits` decimals; `–` for `None`.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

/// A probability, `0.8312`; `–` for `None`.
pub fn probability(p: Option<f32>) -> String {
    number(p.map(f64::from), 4)
}

/// Seconds as milliseconds, `12.3 ms`.
pub fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// The speaker of `turn`.
pub fn speaker(session: &Session, turn: &Turn) -> String {
    match turn.role {
        Role::User => "You".into(),
        Role::System => "System".into(),
        Role::Assistant => {
            let which = match turn.others.len() {
                0 => String::new(),
                others => format!(" (answer {} of {})", turn.variant + 1, others + 1),
            };
            let model = turn
                .runs
                .first()
                .and_then(|run| session.models.get(run.model?));
            let name = model.map_or_else(
                || "Assistant".into(),
                |model| safe_text::one_line(&model.name).into_owned(),
            );
            name + &which
        }
    }
}

/// The models and the date of a session.
pub fn facts(session: &Session, zone: Zone) -> Vec<String> {
    let mut used: Vec<&ModelRecord> = Vec::new();
    for model in session.runs().filter_map(|run| session.model_of(run)) {
        if !used.iter().any(|known| known.has_weights_of(model)) {
            used.push(model);
        }
    }
    let mut facts = match used[..] {
        [] => session.model().map(described).unwrap_or_default(),
        // The last record of the model names the device that it last ran on.
        [only] => described(
            session
                .model()
                .filter(|last| last.has_weights_of(only))
                .unwrap_or(only),
        ),
        _ => used
            .iter()
            .map(|model| safe_text::one_line(&model.name).into_owned())
            .collect(),
    };
    facts.push(moment(session.header.created_ms, zone));
    facts
}

fn described(model: &ModelRecord) -> Vec<String> {
    let words = [&model.name, &model.dtype, &model.device].into_iter();
    let mut facts: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(|word| safe_text::one_line(word).into_owned())
        .collect();
    if model.num_layers > 0 {
        facts.push(counted(model.num_layers, "layer"));
    }
    facts
}

/// Above this number of changes, which only a controller makes, settings are summarised.
const MAX_CHANGES: usize = 4;

/// The settings of a run, in order if they changed, each with the exit layers and numbers of speculations used.
pub fn settings(run: &Run) -> Vec<String> {
    let mut used: Vec<(Shape<'_>, BTreeSet<usize>, BTreeSet<usize>)> = Vec::new();
    for settings in run.rounds.iter().map(|round| &round.settings) {
        let shape = Shape::of(settings);
        if used.last().is_none_or(|(last, ..)| *last != shape) {
            used.push((shape, BTreeSet::new(), BTreeSet::new()));
        }
        if let Some((_, exits, speculations)) = used.last_mut() {
            exits.insert(settings.exit_layer);
            speculations.insert(settings.num_speculations);
        }
    }
    if used.len() > MAX_CHANGES {
        return vec![summary(&used)];
    }
    used.iter()
        .map(|(shape, exits, speculations)| shape.words(&numbers(exits), &numbers(speculations)))
        .collect()
}

/// Many settings in a line: all exit layers and numbers of speculations, and the last sampling.
fn summary(used: &[(Shape<'_>, BTreeSet<usize>, BTreeSet<usize>)]) -> String {
    let exits = used.iter().flat_map(|(_, exits, _)| exits).copied();
    let speculations = used.iter().flat_map(|(.., speculations)| speculations);
    let exits = numbers(&exits.collect());
    let speculations = numbers(&speculations.copied().collect());
    let sampling = used.last().map(|(shape, ..)| shape.sampling_words());
    format!(
        "{} ways to draft in turn, E={exits} K={speculations}, {}",
        used.len(),
        sampling.unwrap_or_default()
    )
}

/// The described settings, except exit layer and speculations.
#[derive(PartialEq)]
struct Shape<'a> {
    strategy: Strategy,
    proposers: Proposers,
    tree: usize,
    /// `None` for greedy decoding.
    sampling: Option<&'a Sampling>,
}

impl<'a> Shape<'a> {
    fn of(settings: &'a Settings) -> Self {
        Self {
            strategy: settings.strategy,
            proposers: settings.proposers,
            tree: settings.tree,
            sampling: Some(&settings.sampling).filter(|sampling| sampling.sample),
        }
    }

    fn words(&self, exits: &str, speculations: &str) -> String {
        let how = match self.strategy {
            Strategy::Autoregressive => "autoregressive".to_owned(),
            Strategy::EarlyExit => format!("early exit E={exits}"),
            Strategy::SelfSpeculative => {
                let mut how = format!("self-speculative E={exits} K={speculations}");
                if self.tree > 0 {
                    how += &format!(" tree={}", self.tree);
                }
                if self.proposers != Proposers::Exit {
                    how += &format!(" proposers={}", self.proposers.name());
                }
                how
            }
        };
        format!("{how}, {}", self.sampling_words())
    }

    fn sampling_words(&self) -> String {
        match self.sampling {
            Some(sampling) => format!(
                "temperature {}, top-p {}, seed {}",
                sampling.temperature, sampling.top_p, sampling.seed
            ),
            None => "greedy".into(),
        }
    }
}

/// Numbers in order, with three or more consecutive ones as a range: `2, 4–7`.
fn numbers(numbers: &BTreeSet<usize>) -> String {
    let numbers: Vec<usize> = numbers.iter().copied().collect();
    let rows = numbers.chunk_by(|a, b| a + 1 == *b).map(|row| match row {
        [first, _, .., last] => format!("{first}–{last}"),
        few => few
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    });
    rows.collect::<Vec<_>>().join(", ")
}

/// The statistics, as names and values.
pub fn statistics(stats: &Stats) -> Vec<(&'static str, String)> {
    vec![
        ("tokens", stats.tokens.to_string()),
        ("rounds", stats.rounds.to_string()),
        ("drafted", stats.drafted.to_string()),
        ("accepted", stats.accepted.to_string()),
        ("acceptance rate", percent(stats.acceptance_rate())),
        (
            "accepted of early exit",
            accepted(stats, Proposer::EarlyExit),
        ),
        ("accepted of lookup", accepted(stats, Proposer::Lookup)),
        ("accepted of adapters", accepted(stats, Proposer::Adapter)),
        (
            "tokens per drafted round",
            number(stats.mean_accepted_length(), 2),
        ),
        ("tokens per second", number(stats.tokens_per_second(), 1)),
        ("draft time", format!("{:.2} s", stats.draft_seconds)),
        ("verify time", format!("{:.2} s", stats.verify_seconds)),
        ("prompt tokens computed", stats.prefill_tokens.to_string()),
    ]
}

/// `12 of 30`: the tokens of a proposer.
fn accepted(stats: &Stats, proposer: Proposer) -> String {
    let count = stats.by_proposer.of(proposer);
    format!("{} of {}", count.accepted, count.drafted)
}

/// A run in one line: its statistics, why it ended, and its model if that differs from the first of the turn.
pub fn run(session: &Session, turn: &Turn, run: &Run) -> String {
    let line = format!("{} · {}", brief(&run.stats()), ending(run));
    let heads = turn.runs.first().and_then(|first| session.model_of(first));
    match session.model_of(run).zip(heads) {
        Some((model, heads)) if !model.has_weights_of(heads) => {
            format!(
                "{} · {line}",
                safe_text::one_line(&model.name_beside(heads))
            )
        }
        _ => line,
    }
}

/// The main statistics in one line.
pub fn brief(stats: &Stats) -> String {
    let mut words = vec![format!(
        "{} in {}",
        counted(stats.tokens, "token"),
        counted(stats.rounds, "round")
    )];
    if stats.drafted > 0 {
        words.push(format!("{} accepted", percent(stats.acceptance_rate())));
        words.push(format!(
            "{} tokens per drafted round",
            number(stats.mean_accepted_length(), 2)
        ));
    }
    if let Some(speed) = stats.tokens_per_second() {
        words.push(format!("{speed:.1} tokens/s"));
    }
    words.join(" · ")
}

/// Why a run ended.
fn ending(run: &Run) -> String {
    if let Some(Outcome::Failed(message)) = run.end.as_ref().map(|end| &end.outcome) {
        return format!("failed: {}", safe_text::one_line(message));
    }
    run.reason().to_string()
}

/// The numbers of a token in one line.
pub fn token(round: &Round, token: &KeptToken<'_>, name: &str) -> String {
    let mut words = vec![
        format!("“{}”", safe_text::one_line(token.text)),
        format!("id {}", token.id),
        name.to_owned(),
        format!("round {}", round.index),
    ];
    words.extend(
        token
            .draft_position
            .map(|position| format!("draft position {}", position + 1)),
    );
    words.extend(
        token
            .proposer
            .map(|proposer| format!("drafted by {}", proposer.name())),
    );
    words.push(format!("p(draft) {}", probability(token.p_draft)));
    words.push(format!("p(verify) {}", probability(token.p_verify)));
    words.join(" · ")
}

/// The rejected drafts of a round as tokens.
pub fn rejected(round: &Round) -> impl Iterator<Item = KeptToken<'_>> {
    round.rejects().map(|token| KeptToken {
        id: token.id,
        text: token.text,
        origin: crate::engine::decode::Origin::Accepted,
        proposer: token.proposer,
        p_draft: token.p_draft,
        p_verify: token.p_verify,
        draft_position: token.draft_position,
        logprobs: token.logprobs,
        detail: token.detail,
    })
}

/// The serialised name of a unit variant.
pub fn serde_name(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .map_or_else(|_| String::new(), |json| json.trim_matches('"').to_owned())
}
