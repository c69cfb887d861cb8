//! Validation of everything that is read, so that later stages can rely on it, and sanitising of everything that is
//! written, so that it can be read back.

use super::entry::Detail;
use super::entry::Lens;
use super::line::RoundLine;
use crate::engine::decode::{Controller, LensRow, Origin, Round, Settings, Stats, TokenDetail};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::sampling::Sampling;
use crate::engine::worker::{Event, ModelEvent, RunEvent, RunId};

/// Largest plausible position or index, far beyond any model.
const MAX_POSITION: usize = 1 << 32;
/// Largest plausible layer index or draft length.
const MAX_LAYERS: usize = 10_000;
/// Probabilities are sums of floats, so rounding may exceed 1 slightly.
const MAX_PROBABILITY: f32 = 1.001;

/// Checks a round.
///
/// # Errors
/// Describes the first value that is out of range, or tokens that contradict each other.
pub fn round(round: &RoundLine) -> Result<(), String> {
    round.check_tokens()?;
    if round.position > MAX_POSITION || round.index > MAX_POSITION {
        return Err(format!(
            "a round has the invalid position {}",
            round.position
        ));
    }
    if round.overridden.is_some_and(|to| {
        let tree = to.tree.unwrap_or(0);
        to.exit_layer.max(to.num_speculations).max(tree) > MAX_LAYERS
    }) {
        return Err("a round has an invalid exit layer or draft length".into());
    }
    if !is_duration(round.draft_seconds) || !is_duration(round.verify_seconds) {
        return Err("a round has an invalid duration".into());
    }
    if round
        .closing
        .as_ref()
        .is_some_and(|token| matches!(token.origin, Origin::Accepted | Origin::Prompt))
    {
        return Err("the closing token of a round has an invalid origin".into());
    }
    if !probabilities(round).all(is_probability) {
        return Err("a token has an invalid probability".into());
    }
    match details(round).all(is_valid) {
        true => Ok(()),
        false => Err("the detail of a token has an invalid number".into()),
    }
}

/// Checks a round with its settings.
///
/// # Errors
/// As [`round`] and [`settings`].
pub fn whole_round(of: &Round) -> Result<(), String> {
    settings(&of.settings)?;
    // The settings are those of the line, so that nothing is left to override.
    round(&RoundLine::new(
        RunId(0),
        &of.settings,
        of.clone(),
        Detail::Layers,
    ))
}

/// Checks an event of a remote engine, so that it can be used like one of a local engine.
///
/// # Errors
/// Describes the first value that is out of range.
pub fn event(event: &Event) -> Result<(), String> {
    let is_count = |count: usize| count <= MAX_POSITION;
    let valid = match event {
        Event::Model(ModelEvent::Loaded { info, .. }) => return model(info),
        Event::Model(ModelEvent::Loading { fraction, .. }) => fraction.is_none_or(is_probability),
        Event::Model(ModelEvent::Failed(_) | ModelEvent::Cancelled) => true,
        Event::Run(_, event) => match event {
            RunEvent::Round(round) | RunEvent::Race { round, .. } => return whole_round(round),
            RunEvent::Lens { rows, of, costs } => {
                lens(&Lens {
                    rows: rows.clone(),
                    costs: costs.clone(),
                })?;
                is_count(*of)
            }
            RunEvent::Sweep(cell) => is_plausible(&cell.stats),
            RunEvent::Finished { stats, .. } => is_plausible(stats),
            RunEvent::Dropped { messages } => is_count(*messages),
            RunEvent::Prefill {
                done,
                total,
                cached,
            } => [*done, *total, *cached].into_iter().all(is_count),
            RunEvent::Drafted { p_draft, .. } => p_draft.is_none_or(is_probability),
            RunEvent::Scores(_) | RunEvent::Paused | RunEvent::Failed(_) => true,
        },
    };
    match valid {
        true => Ok(()),
        false => Err("an event has an invalid number".into()),
    }
}

/// Checks the description of a model.
///
/// # Errors
/// Describes the first value that is out of range.
pub fn model(info: &ModelInfo) -> Result<(), String> {
    info.config.check()?;
    let defaults = [info.defaults.exit_layer, info.defaults.num_speculations];
    let layers = info.config.num_layers;
    let is_exit = |exit: &usize| (1..layers).contains(exit);
    let borrowed = &info.borrowed_adapters;
    let adapters = info.adapters.len().max(borrowed.len()) < layers
        && info.adapters.iter().all(is_exit)
        && borrowed
            .iter()
            .all(|(exit, used)| is_exit(exit) && is_exit(used));
    let vocab = info.defaults.draft_vocab;
    let recommended = defaults
        .into_iter()
        .flatten()
        .all(|value| value <= MAX_LAYERS)
        && vocab.is_none_or(|vocab| vocab <= info.config.vocab_size);
    match recommended && adapters {
        true => Ok(()),
        false => Err("the adapters or recommendations of a model are implausible".into()),
    }
}

fn is_plausible(stats: &Stats) -> bool {
    let seconds = [
        stats.prefill_seconds,
        stats.draft_seconds,
        stats.verify_seconds,
    ];
    let counts = [
        stats.rounds,
        stats.speculated_rounds,
        stats.tokens,
        stats.drafted,
        stats.accepted,
        stats.prefill_tokens,
    ];
    let positions = stats.by_position.iter();
    seconds.into_iter().all(is_duration)
        && counts.into_iter().all(|count| count <= MAX_POSITION)
        && positions
            .map(|at| at.verified.max(at.accepted))
            .all(|count| count <= MAX_POSITION)
}

/// Checks settings.
///
/// # Errors
/// Describes the first value that is out of range.
pub fn settings(settings: &Settings) -> Result<(), String> {
    let Settings {
        exit_layer,
        num_speculations,
        tree,
        ..
    } = *settings;
    if exit_layer.max(num_speculations).max(tree) > MAX_LAYERS {
        return Err("the settings have an invalid exit layer or draft length".into());
    }
    let threshold = match settings.controller {
        Controller::Confidence { threshold } => threshold,
        _ => 0.0,
    };
    let numbers = floats(&mut settings.sampling.clone()).map(|number| *number);
    match numbers
        .iter()
        .chain([&threshold])
        .all(|number| number.is_finite())
    {
        true => Ok(()),
        false => Err("the settings have a number that is not finite".into()),
    }
}

/// Checks a lens. Every row must have a choice for each layer, so that work on it stays proportional to the file.
///
/// # Errors
/// Describes what is invalid.
pub fn lens(lens: &Lens) -> Result<(), String> {
    let costs = &lens.costs;
    let mut seconds = costs
        .layer
        .iter()
        .chain(&costs.head)
        .chain([&costs.draft_head, &costs.sampling]);
    if costs.layers > MAX_LAYERS || !seconds.all(|seconds| is_duration(*seconds)) {
        return Err("the layer costs are invalid".into());
    }
    let valid = |row: &LensRow| {
        let choices = row
            .layers
            .iter()
            .all(|choice| is_probability(choice.p) && choice.layer <= MAX_LAYERS);
        row.position <= MAX_POSITION && row.layers.len() == costs.layers && choices
    };
    match lens.rows.iter().all(valid) {
        true => Ok(()),
        false => Err("the layer predictions have an invalid number".into()),
    }
}

/// All floating-point settings of sampling. The pattern is exhaustive, so that a new field does not compile until it is
/// considered here.
fn floats(sampling: &mut Sampling) -> [&mut f32; 4] {
    let Sampling {
        temperature,
        top_p,
        min_p,
        repetition_penalty,
        sample: _,
        top_k: _,
        no_repeat_ngram: _,
        seed: _,
        coupling: _,
    } = sampling;
    [temperature, top_p, min_p, repetition_penalty]
}

/// Whether `seconds` is a plausible duration: non-negative and below a thousand years.
pub fn is_duration(seconds: f64) -> bool {
    (0.0..3.2e10).contains(&seconds)
}

fn is_probability(p: f32) -> bool {
    (0.0..=MAX_PROBABILITY).contains(&p)
}

fn probabilities(round: &RoundLine) -> impl Iterator<Item = f32> {
    let drafted = round
        .drafted
        .iter()
        .flat_map(|token| [token.p_draft, token.p_verify]);
    let closing = round
        .closing
        .iter()
        .flat_map(|token| [token.p_draft, Some(token.p_verify)]);
    drafted.chain(closing).flatten()
}

fn details(round: &RoundLine) -> impl Iterator<Item = &TokenDetail> {
    let drafted = round
        .drafted
        .iter()
        .filter_map(|token| token.detail.as_deref());
    drafted.chain(
        round
            .closing
            .iter()
            .filter_map(|token| token.detail.as_deref()),
    )
}

fn is_valid(detail: &TokenDetail) -> bool {
    let candidates = detail
        .draft_top
        .iter()
        .chain(&detail.verify_top)
        .map(|candidate| candidate.p);
    let mut layers = detail.layers.iter();
    let mut entropies = detail.draft_entropy.iter().chain(&detail.verify_entropy);
    candidates.into_iter().all(is_probability)
        && layers.all(|choice| is_probability(choice.p) && choice.layer <= MAX_LAYERS)
        && entropies.all(|entropy| entropy.is_finite())
}

/// Replaces invalid values by valid ones. A journal never loses the text of a round to a bad number from the engine,
/// and JSON cannot represent NaN.
pub fn sanitise_round(round: &mut RoundLine) {
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
    round.position = round.position.min(MAX_POSITION);
    round.index = round.index.min(MAX_POSITION);
    if let Some(to) = &mut round.overridden {
        to.exit_layer = to.exit_layer.min(MAX_LAYERS);
        to.num_speculations = to.num_speculations.min(MAX_LAYERS);
        to.tree = to.tree.map(|tree| tree.min(MAX_LAYERS));
    }
    round.draft_seconds = duration(round.draft_seconds);
    round.verify_seconds = duration(round.verify_seconds);
    for token in &mut round.drafted {
        token.p_draft = token.p_draft.map(probability);
        token.p_verify = token.p_verify.map(probability);
        token
            .detail
            .iter_mut()
            .for_each(|detail| sanitise_detail(detail));
    }
    if let Some(token) = &mut round.closing {
        token.p_draft = token.p_draft.map(probability);
        token.p_verify = probability(token.p_verify);
        token
            .detail
            .iter_mut()
            .for_each(|detail| sanitise_detail(detail));
        if matches!(token.origin, Origin::Accepted | Origin::Prompt) {
            token.origin = Origin::Plain;
        }
    }
}

fn sanitise_detail(detail: &mut TokenDetail) {
    detail
        .draft_top
        .iter_mut()
        .chain(&mut detail.verify_top)
        .for_each(|choice| choice.p = probability(choice.p));
    for choice in &mut detail.layers {
        choice.p = probability(choice.p);
        choice.layer = choice.layer.min(MAX_LAYERS);
    }
    detail.draft_entropy = detail.draft_entropy.filter(|entropy| entropy.is_finite());
    detail.verify_entropy = detail.verify_entropy.filter(|entropy| entropy.is_finite());
}

/// As [`sanitise_round`], for settings.
pub fn sanitise_settings(settings: &mut Settings) {
    let mut defaults = Sampling::default();
    for (number, default) in floats(&mut settings.sampling)
        .into_iter()
        .zip(floats(&mut defaults))
    {
        if !number.is_finite() {
            *number = *default;
        }
    }
    if let Controller::Confidence { threshold } = &mut settings.controller {
        *threshold = probability(*threshold);
    }
    settings.exit_layer = settings.exit_layer.min(MAX_LAYERS);
    settings.num_speculations = settings.num_speculations.min(MAX_LAYERS);
    settings.tree = settings.tree.min(MAX_LAYERS);
}

/// `seconds`, or 0 if they are not a valid duration.
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
