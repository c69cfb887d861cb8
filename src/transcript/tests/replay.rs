use super::*;
use crate::engine::worker::{Event, RunEvent};

fn rounds_of(events: &[ReplayEvent]) -> Vec<Round> {
    let round = |event: &ReplayEvent| match event {
        ReplayEvent::Engine(Event::Run(_, RunEvent::Round(round))) => Some((**round).clone()),
        _ => None,
    };
    events.iter().filter_map(round).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With any ticks and speed, every round is played once and in order.
    #[test]
    fn all_rounds_are_played_at_any_pace(session in any_session(), ticks in vec(0.0f64..3.0, 1..20), speed in prop_oneof![0.1f64..100.0, Just(f64::INFINITY)]) {
        let mut replay = Replay::new(session.clone());
        replay.set_speed(speed);
        let mut events: Vec<ReplayEvent> = ticks.iter().flat_map(|tick| replay.advance(*tick)).collect();
        while let Some(wait) = replay.due_in() {
            events.extend(replay.advance(wait));
        }
        let expected: Vec<Round> = session.rounds().cloned().collect();
        prop_assert_eq!(rounds_of(&events), expected);
        prop_assert_eq!(events.iter().filter(|event| **event == ReplayEvent::Over).count(), 1);
    }

    /// Seeking shows the same rounds as playing up to that point.
    #[test]
    fn seeking_shows_the_rounds_before(session in any_session(), stops in vec(any::<prop::sample::Index>(), 1..6)) {
        let all: Vec<Round> = session.rounds().cloned().collect();
        let mut replay = Replay::new(session);
        let mut shown = Vec::new();
        for stop in stops {
            let stop = stop.index(all.len() + 1);
            for event in replay.seek(stop) {
                match event {
                    ReplayEvent::Restart => shown.clear(),
                    event => shown.extend(rounds_of(&[event])),
                }
            }
            prop_assert_eq!(&shown, &all[..stop]);
            prop_assert_eq!(replay.progress(), (stop, all.len()));
        }
    }
}

#[test]
fn the_replay_has_the_pace_of_the_session() {
    let mut replay = Replay::new(sample());
    let first = replay.advance(0.0);
    assert!(
        matches!(
            first[..],
            [
                ReplayEvent::Typed { turn: 0 },
                ReplayEvent::Begin { turn: 1, .. }
            ]
        ),
        "{first:?}"
    );
    assert_eq!(
        replay.due_in(),
        Some(0.75),
        "the prefill and the first draft"
    );
    assert!(replay.advance(0.74).is_empty());
    assert!(matches!(
        replay.advance(0.01)[..],
        [ReplayEvent::Engine(Event::Run(
            _,
            RunEvent::Drafted { id: 11, .. }
        ))]
    ));
    replay.set_speed(2.0);
    assert_eq!(replay.due_in(), Some(0.125));
    replay.pause(true);
    assert!(replay.advance(99.0).is_empty() && replay.due_in().is_none());
    let stepped = replay.step();
    assert_eq!(rounds_of(&stepped).len(), 1);
    assert_eq!(replay.progress(), (1, 3));
    replay.pause(false);
    replay.set_speed(f64::INFINITY);
    let rest = replay.advance(1e-9);
    assert!(matches!(
        rest[rest.len() - 2..],
        [
            ReplayEvent::Engine(Event::Run(_, RunEvent::Finished { .. })),
            ReplayEvent::Over
        ]
    ));
    assert!(replay.is_over() && replay.step().is_empty());
}

#[test]
fn invalid_speeds_and_times_are_tolerated() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut replay = Replay::new(sample());
        replay.set_speed(speed);
        for seconds in [f64::NAN, -5.0, 0.0, f64::INFINITY] {
            replay.advance(seconds);
        }
        assert!(replay.is_over());
    }
}
