//! A session played in plain coloured text.

use crate::engine::worker::{Event, RunEvent};
use crate::transcript::export::{ansi, words};
use crate::transcript::origin_style::Paint;
use crate::transcript::{Replay, ReplayEvent, Session, text};
use color_eyre::eyre::Result;
use std::io::{self, Write};
use std::time::Duration;

/// Plays `session` on standard output, `speed` times as fast as it was, what comes before round `from` at once.
pub fn play(session: Session, speed: f64, from: usize, paint: Paint) -> Result<()> {
    let mut replay = Replay::new(session);
    replay.set_speed(speed);
    let mut out = io::stdout().lock();
    let skipped = replay.seek(from);
    print(&mut out, replay.session(), &skipped, paint)?;
    while let Some(wait) = replay.due_in() {
        std::thread::sleep(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX));
        let events = replay.advance(wait);
        print(&mut out, replay.session(), &events, paint)?;
    }
    Ok(())
}

fn print(
    out: &mut impl Write,
    session: &Session,
    events: &[ReplayEvent],
    paint: Paint,
) -> Result<()> {
    for event in events {
        out.write_all(words_of(session, event, paint).as_bytes())?;
    }
    Ok(out.flush()?)
}

fn words_of(session: &Session, event: &ReplayEvent, paint: Paint) -> String {
    let heading = |turn: usize| {
        let speaker = session
            .turns
            .get(turn)
            .map(|turn| words::speaker(session, turn));
        ansi::heading(&speaker.unwrap_or_default(), paint) + "\n"
    };
    match event {
        ReplayEvent::Typed { turn } => {
            let typed = session
                .turns
                .get(*turn)
                .map(|turn| ansi::typed(turn, paint))
                .unwrap_or_default();
            let goes_on = session
                .turns
                .get(*turn)
                .is_some_and(|turn| !turn.runs.is_empty());
            heading(*turn) + &typed + if goes_on { "" } else { "\n\n" }
        }
        ReplayEvent::Begin { turn, .. } => match session.turns.get(*turn) {
            Some(of) if !of.text.is_empty() => String::new(),
            _ => heading(*turn),
        },
        ReplayEvent::Engine(Event::Run(_, RunEvent::Round(round))) => round
            .kept()
            .map(|token| ansi::token(&token, paint))
            .collect(),
        ReplayEvent::Engine(Event::Run(_, RunEvent::Finished { stats, .. })) => {
            format!("\n{}\n\n", ansi::faint(&words::brief(stats), paint))
        }
        ReplayEvent::Engine(Event::Run(_, RunEvent::Failed(failure))) => {
            format!(
                "\n{}\n\n",
                ansi::faint(&text::one_line(&failure.message), paint)
            )
        }
        ReplayEvent::Over => ansi::legend(paint),
        ReplayEvent::Restart | ReplayEvent::Engine(_) => String::new(),
    }
}
