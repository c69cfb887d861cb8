//! Facts of a session in words, the same in every format.

use crate::engine::decode::{KeptToken, Round, Settings, Stats, StopReason, Strategy};
use crate::engine::prompt::Role;
use crate::transcript::{Outcome, Run, Session, Turn, Zone, moment, text};

/// A share as a percentage, `71.4 %`; `–` for none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0))
}

/// A number with `digits` behind the point; `–` for none.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

/// A probability, `0.8312`; `–` for none.
pub fn probability(p: Option<f32>) -> String {
    number(p.map(f64::from), 4)
}

/// Seconds as milliseconds, `12.3 ms`.
pub fn millis(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// Who speaks in `turn`.
pub fn speaker(session: &Session, turn: &Turn) -> String {
    match turn.role {
        Role::User => "You".into(),
        Role::System => "System".into(),
        Role::Assistant => {
            let model = turn
                .runs
                .first()
                .and_then(|run| session.models.get(run.model?));
            model.map_or_else(
                || "Assistant".into(),
                |model| text::one_line(&model.name).into_owned(),
            )
        }
    }
}

/// Model and date of a session.
pub fn facts(session: &Session, zone: Zone) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(model) = session.model() {
        facts.push(text::one_line(&model.name).into_owned());
        let further = [&model.dtype, &model.device]
            .into_iter()
            .filter(|word| !word.is_empty());
        facts.extend(further.map(|word| text::one_line(word).into_owned()));
        if model.num_layers > 0 {
            facts.push(format!("{} layers", model.num_layers));
        }
    }
    facts.push(moment(session.header.created_ms, zone));
    facts
}

/// Settings that shape the decoding.
pub fn settings(settings: &Settings) -> String {
    let Settings {
        strategy,
        exit_layer,
        num_speculations,
        sampling,
        ..
    } = settings;
    let how = match strategy {
        Strategy::Autoregressive => "autoregressive".to_owned(),
        Strategy::EarlyExit => format!("early exit E={exit_layer}"),
        Strategy::SelfSpeculative => {
            format!("self-speculative E={exit_layer} K={num_speculations}")
        }
    };
    match sampling.sample {
        true => {
            format!(
                "{how}, temperature {}, top-p {}, seed {}",
                sampling.temperature, sampling.top_p, sampling.seed
            )
        }
        false => format!("{how}, greedy"),
    }
}

/// Names and values of the statistics.
pub fn statistics(stats: &Stats) -> Vec<(&'static str, String)> {
    vec![
        ("tokens", stats.tokens.to_string()),
        ("rounds", stats.rounds.to_string()),
        ("drafted", stats.drafted.to_string()),
        ("accepted", stats.accepted.to_string()),
        ("acceptance rate", percent(stats.acceptance_rate())),
        (
            "mean accepted length",
            number(stats.mean_accepted_length(), 2),
        ),
        ("tokens a second", number(stats.tokens_per_second(), 1)),
        ("draft time", format!("{:.2} s", stats.draft_seconds)),
        ("verify time", format!("{:.2} s", stats.verify_seconds)),
        ("prompt tokens computed", stats.prefill_tokens.to_string()),
    ]
}

/// One run in a line: what it made, how fast, why it ended.
pub fn run(run: &Run) -> String {
    format!("{} · {}", brief(&run.stats()), ending(run))
}

/// Statistics in a line.
pub fn brief(stats: &Stats) -> String {
    let mut words = vec![format!(
        "{} tokens in {} rounds",
        stats.tokens, stats.rounds
    )];
    if stats.drafted > 0 {
        words.push(format!("{} accepted", percent(stats.acceptance_rate())));
        words.push(format!(
            "mean length {}",
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
        return format!("failed: {}", text::one_line(message));
    }
    run.stop().map_or_else(|| "interrupted".into(), stop)
}

/// A reason to stop.
pub fn stop(reason: &StopReason) -> String {
    match reason {
        StopReason::Eos => "ended by the model".into(),
        StopReason::StopToken(id) => format!("stopped at token {id}"),
        StopReason::StopString(stop) => format!("stopped at “{}”", text::one_line(stop)),
        StopReason::MaxSteps => "stopped at the limit of tokens".into(),
        StopReason::ContextFull => "stopped at a full context".into(),
        StopReason::Cancelled => "cancelled".into(),
    }
}

/// A token's numbers in a line.
pub fn token(round: &Round, token: &KeptToken<'_>, name: &str) -> String {
    let mut words = vec![
        format!("“{}”", text::one_line(token.text)),
        format!("id {}", token.id),
        name.to_owned(),
        format!("round {}", round.index),
    ];
    words.extend(
        token
            .draft_position
            .map(|position| format!("draft position {}", position + 1)),
    );
    words.push(format!("p(draft) {}", probability(token.p_draft)));
    words.push(format!("p(verify) {}", probability(token.p_verify)));
    words.join(" · ")
}

/// The rejected drafts of a round as tokens.
pub fn rejected(round: &Round) -> impl Iterator<Item = KeptToken<'_>> {
    let rejected = round.drafted.iter().enumerate().skip(round.accepted);
    rejected.map(|(position, token)| KeptToken {
        id: token.id,
        text: &token.text,
        origin: crate::engine::decode::Origin::Accepted,
        p_draft: Some(token.p_draft),
        p_verify: token.p_verify,
        draft_position: Some(position),
        detail: token.detail.as_deref(),
    })
}

/// The name that serde gives a value without fields.
pub fn serde_name(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value)
        .map_or_else(|_| String::new(), |json| json.trim_matches('"').to_owned())
}
