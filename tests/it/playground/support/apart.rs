//! What the fake engine says when it is asked for a lens or a race.

use super::fake::{answer, round};
use skiplens::engine::decode::{
    CostModel, LayerChoice, LensRow, Settings, Stats, StopReason, Strategy,
};
use skiplens::engine::worker::{Event, Lane, RunEvent, RunId, SweepCell};

/// A layer that costs half a millisecond, a little more for each further row.
pub fn costs() -> CostModel {
    let growing = |first: f64| {
        (0..17)
            .map(|more| first * (1.0 + 0.08 * f64::from(more)))
            .collect()
    };
    CostModel {
        layers: 30,
        layer: growing(0.0003),
        head: growing(0.002),
        draft_head: 0.002,
        sampling: 0.0001,
    }
}

/// The lens over the whole answer, in pieces; a layer agrees where it would have drafted the word.
pub fn lens(run: RunId) -> Vec<Event> {
    let words = answer();
    let row = |place: usize| {
        let layer = |layer: usize| {
            let right = layer == 30 || (place * 7919 + 13) % 31 < layer + 12;
            let (id, text) = if right {
                (place as u32, words[place].clone())
            } else {
                (7, " of".into())
            };
            LayerChoice {
                layer,
                id,
                text,
                p: layer as f32 / 31.0,
            }
        };
        LensRow {
            position: 24 + place,
            id: place as u32,
            layers: (1..=30).map(layer).collect(),
        }
    };
    let rows: Vec<LensRow> = (0..words.len()).map(row).collect();
    let piece = |rows: &[LensRow]| {
        Event::Run(
            run,
            RunEvent::Lens {
                rows: rows.to_vec(),
                of: words.len(),
                costs: costs(),
            },
        )
    };
    rows.chunks(16).map(piece).collect()
}

/// A race to the end, the lane that has used less time going next.
pub fn race(run: RunId, settings: &Settings) -> Vec<Event> {
    let words = answer();
    let mut events = vec![Event::Run(
        run,
        RunEvent::Prefill {
            done: 24,
            total: 24,
            cached: 0,
        },
    )];
    let strategies = [Strategy::Autoregressive, Strategy::SelfSpeculative];
    let lanes = [Lane::Reference, Lane::Challenger];
    let mut stats = [Stats::default(), Stats::default()];
    loop {
        let running = (0..2).filter(|lane| stats[*lane].tokens < words.len());
        let next = running.min_by(|a, b| {
            stats[*a]
                .decode_seconds()
                .total_cmp(&stats[*b].decode_seconds())
        });
        let Some(next) = next else { break };
        let settings = Settings {
            strategy: strategies[next],
            ..settings.clone()
        };
        let made = round(stats[next].rounds, stats[next].tokens, &settings, &words);
        stats[next].add(&made);
        events.push(Event::Run(
            run,
            RunEvent::Race {
                lane: lanes[next],
                round: Box::new(made),
            },
        ));
    }
    let [_, speculative] = stats;
    events.push(Event::Run(
        run,
        RunEvent::Finished {
            reason: StopReason::Eos,
            stats: speculative,
        },
    ));
    events
}

/// A sweep to the end: E 6, K 2 is the fastest pair.
pub fn sweep(run: RunId, pairs: &[(usize, usize)]) -> Vec<Event> {
    let stats = |seconds: f64| Stats {
        tokens: 64,
        rounds: 64,
        drafted: 64,
        accepted: 32,
        verify_seconds: seconds,
        ..Stats::default()
    };
    let seconds = |(exit_layer, speculations): (usize, usize)| {
        0.5 + 0.01 * exit_layer.abs_diff(6) as f64 + 0.02 * speculations.abs_diff(2) as f64
    };
    let cell = |pair: Option<(usize, usize)>| {
        let stats = stats(pair.map_or(0.6, seconds));
        Event::Run(run, RunEvent::Sweep(SweepCell { pair, stats }))
    };
    let cells = std::iter::once(None).chain(pairs.iter().copied().map(Some));
    let finished = RunEvent::Finished {
        reason: StopReason::MaxSteps,
        stats: stats(0.6),
    };
    cells.map(cell).chain([Event::Run(run, finished)]).collect()
}
