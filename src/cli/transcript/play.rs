//! Replays a session as plain coloured text.

use crate::cli::output::{self, Sink};
use crate::engine::worker::{Event, RunEvent};
use crate::safe_text::{StyledText, one_line};
use crate::transcript::export::{ansi, describe};
use crate::transcript::origin_style::Paint;
use crate::transcript::{Replay, ReplayEvent, Session};
use color_eyre::eyre::Result;
use std::io::Write;
use std::time::Duration;

/// Replays `session` on standard output at `speed` times the original speed. Everything before round `from` is printed
/// at once.
pub fn play(session: Session, speed: f64, from: usize, paint: Paint) -> Result<()> {
    let mut replay = Replay::new(session);
    replay.set_speed(speed);
    let mut out = output::stdout();
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
    out: &mut Sink<impl Write>,
    session: &Session,
    events: &[ReplayEvent],
    paint: Paint,
) -> Result<()> {
    let words = events.iter().map(|event| words_of(session, event, paint));
    Ok(out.styled(&words.collect())?)
}

fn words_of(session: &Session, event: &ReplayEvent, paint: Paint) -> StyledText {
    let heading = |turn: usize| {
        let speaker = session
            .turns
            .get(turn)
            .map(|turn| describe::speaker(session, turn));
        let mut line = ansi::heading(&speaker.unwrap_or_default(), paint);
        line.push("\n");
        line
    };
    let aside = |text: &str| {
        let mut line = StyledText::plain("\n");
        line.append(&ansi::faint(text, paint));
        line.push("\n\n");
        line
    };
    match event {
        ReplayEvent::Typed { turn } => {
            let mut text = heading(*turn);
            let of = session.turns.get(*turn);
            if let Some(turn) = of {
                text.append(&ansi::typed(turn, paint));
            }
            let has_answer = of.is_some_and(|turn| !turn.runs.is_empty());
            text.push(if has_answer { "" } else { "\n\n" });
            text
        }
        ReplayEvent::Begin { turn, .. } => match session.turns.get(*turn) {
            Some(of) if !of.text.is_empty() => StyledText::default(),
            _ => heading(*turn),
        },
        ReplayEvent::Engine(Event::Run(_, RunEvent::Round(round))) => round
            .kept()
            .map(|token| ansi::token(&token, paint))
            .collect(),
        ReplayEvent::Engine(Event::Run(_, RunEvent::Finished { stats, .. })) => {
            aside(&describe::brief(stats))
        }
        ReplayEvent::Engine(Event::Run(_, RunEvent::Failed(failure))) => {
            aside(&one_line(&failure.message))
        }
        ReplayEvent::Over => ansi::legend(paint),
        ReplayEvent::Restart | ReplayEvent::Engine(_) => StyledText::default(),
    }
}
