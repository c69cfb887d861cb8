//! What must hold of everything that is read, so that no reader downstream need fear it; and the mending that keeps
//! what is written readable.

use super::entry::Lens;
use super::line::RoundLine;
use crate::engine::decode::{Controller, LensRow, Origin, Settings, TokenDetail};

/// Positions, layers and counts beyond this are faults: no model comes near.
const MOST: usize = 1 << 32;
/// No model has so many layers, and nobody drafts so far.
const MOST_LAYERS: usize = 10_000;
/// Probabilities are sums of floats, so 1 may be passed by a hair.
const ONE: f32 = 1.001;

/// The fault of a round that cannot be, in words.
pub fn round(round: &RoundLine) -> Result<(), String> {
    round.check_tokens()?;
    if round.position > MOST || round.index > MOST {
        return Err(format!(
            "a round lies at the impossible position {}",
            round.position
        ));
    }
    if round
        .moved
        .is_some_and(|moved| moved.exit_layer > MOST_LAYERS || moved.num_speculations > MOST_LAYERS)
    {
        return Err("a round with an impossible exit layer or draft length".into());
    }
    if !is_duration(round.draft_seconds) || !is_duration(round.verify_seconds) {
        return Err("a round took an impossible time".into());
    }
    if round
        .last
        .as_ref()
        .is_some_and(|token| matches!(token.origin, Origin::Accepted | Origin::Prompt))
    {
        return Err("the token that ends a round has the origin of another".into());
    }
    if !probabilities(round).all(is_probability) {
        return Err("a token has a probability that is none".into());
    }
    match details(round).all(is_sound) {
        true => Ok(()),
        false => Err("a token's detail holds a number that cannot be".into()),
    }
}

/// The fault of settings that cannot be, in words.
pub fn settings(settings: &Settings) -> Result<(), String> {
    if settings.exit_layer > MOST_LAYERS || settings.num_speculations > MOST_LAYERS {
        return Err("settings with an impossible exit layer or draft length".into());
    }
    let sampling = &settings.sampling;
    let threshold = if let Controller::Confidence { threshold } = settings.controller {
        threshold
    } else {
        0.0
    };
    let numbers = [
        sampling.temperature,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty,
        threshold,
    ];
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok(()),
        false => Err("settings with a number that is none".into()),
    }
}

/// The fault of what the layers say that cannot be, in words. Every row has a choice for each layer, so that what is
/// computed from it stays in proportion to the file.
pub fn lens(lens: &Lens) -> Result<(), String> {
    let costs = &lens.costs;
    let mut seconds = costs
        .layer
        .iter()
        .chain(&costs.head)
        .chain([&costs.draft_head, &costs.sampling]);
    if costs.layers > MOST_LAYERS || !seconds.all(|seconds| is_duration(*seconds)) {
        return Err("impossible costs of layers".into());
    }
    let sound = |row: &LensRow| {
        let choices = row
            .layers
            .iter()
            .all(|choice| is_probability(choice.p) && choice.layer <= MOST_LAYERS);
        row.position <= MOST && row.layers.len() == costs.layers && choices
    };
    match lens.rows.iter().all(sound) {
        true => Ok(()),
        false => Err("what the layers say holds a number that cannot be".into()),
    }
}

/// Whether a span of seconds can be one: up to a thousand years.
pub fn is_duration(seconds: f64) -> bool {
    (0.0..3.2e10).contains(&seconds)
}

fn is_probability(p: f32) -> bool {
    (0.0..=ONE).contains(&p)
}

fn probabilities(round: &RoundLine) -> impl Iterator<Item = f32> {
    let drafted = round
        .drafted
        .iter()
        .flat_map(|token| [token.p_draft, token.p_verify]);
    let last = round
        .last
        .iter()
        .flat_map(|token| [token.p_draft, Some(token.p_verify)]);
    drafted.chain(last).flatten()
}

fn details(round: &RoundLine) -> impl Iterator<Item = &TokenDetail> {
    let drafted = round
        .drafted
        .iter()
        .filter_map(|token| token.detail.as_deref());
    drafted.chain(
        round
            .last
            .iter()
            .filter_map(|token| token.detail.as_deref()),
    )
}

fn is_sound(detail: &TokenDetail) -> bool {
    let candidates = detail
        .draft_top
        .iter()
        .chain(&detail.verify_top)
        .map(|candidate| candidate.p);
    let mut layers = detail.layers.iter();
    let mut entropies = detail.draft_entropy.iter().chain(&detail.verify_entropy);
    candidates.into_iter().all(is_probability)
        && layers.all(|choice| is_probability(choice.p) && choice.layer <= MOST_LAYERS)
        && entropies.all(|entropy| entropy.is_finite())
}

/// Puts possible numbers in place of impossible ones. A journal never refuses a round for a number gone astray in the
/// engine: the text is worth more, and JSON has no word for NaN.
pub fn mend_round(round: &mut RoundLine) {
    if self::round(round).is_ok() {
        return;
    }
    if round.check_tokens().is_err() {
        round.accepted = round.accepted.min(round.drafted.len());
        round.path.clear();
        round
            .drafted
            .iter_mut()
            .for_each(|token| token.parent = None);
    }
    round.position = round.position.min(MOST);
    round.index = round.index.min(MOST);
    if let Some(moved) = &mut round.moved {
        moved.exit_layer = moved.exit_layer.min(MOST_LAYERS);
        moved.num_speculations = moved.num_speculations.min(MOST_LAYERS);
    }
    round.draft_seconds = duration(round.draft_seconds);
    round.verify_seconds = duration(round.verify_seconds);
    for token in &mut round.drafted {
        token.p_draft = token.p_draft.map(probability);
        token.p_verify = token.p_verify.map(probability);
        token
            .detail
            .iter_mut()
            .for_each(|detail| mend_detail(detail));
    }
    if let Some(token) = &mut round.last {
        token.p_draft = token.p_draft.map(probability);
        token.p_verify = probability(token.p_verify);
        token
            .detail
            .iter_mut()
            .for_each(|detail| mend_detail(detail));
        if matches!(token.origin, Origin::Accepted | Origin::Prompt) {
            token.origin = Origin::Plain;
        }
    }
}

fn mend_detail(detail: &mut TokenDetail) {
    detail
        .draft_top
        .iter_mut()
        .chain(&mut detail.verify_top)
        .for_each(|choice| choice.p = probability(choice.p));
    for choice in &mut detail.layers {
        choice.p = probability(choice.p);
        choice.layer = choice.layer.min(MOST_LAYERS);
    }
    detail.draft_entropy = detail.draft_entropy.filter(|entropy| entropy.is_finite());
    detail.verify_entropy = detail.verify_entropy.filter(|entropy| entropy.is_finite());
}

/// As [`mend_round`], for settings.
pub fn mend_settings(settings: &mut Settings) {
    let sane = Settings::default().sampling;
    let sampling = &mut settings.sampling;
    for (number, otherwise) in [
        (&mut sampling.temperature, sane.temperature),
        (&mut sampling.top_p, sane.top_p),
        (&mut sampling.min_p, sane.min_p),
        (&mut sampling.repetition_penalty, sane.repetition_penalty),
    ] {
        if !number.is_finite() {
            *number = otherwise;
        }
    }
    if let Controller::Confidence { threshold } = &mut settings.controller {
        *threshold = probability(*threshold);
    }
    settings.exit_layer = settings.exit_layer.min(MOST_LAYERS);
    settings.num_speculations = settings.num_speculations.min(MOST_LAYERS);
}

/// A span of seconds, or none if it cannot be one.
pub fn duration(seconds: f64) -> f64 {
    if is_duration(seconds) { seconds } else { 0.0 }
}

fn probability(p: f32) -> f32 {
    if p.is_finite() {
        p.clamp(0.0, 1.0)
    } else {
        0.0
    }
}
