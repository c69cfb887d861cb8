//! Coloured text for a terminal.

use super::words;
use crate::engine::decode::{KeptToken, Origin, Round};
use crate::transcript::origin_style::{GENERATED, OriginStyle, Paint, REJECTED, style};
use crate::transcript::{Run, Session, Turn, Zone, text};

const BOLD: &str = "1";
const DIM: &str = "2";

/// `session` with SGR sequences, as much as `paint` wants; `with_rejected` shows rejected drafts in place. Its date is
/// given in `zone`.
pub fn ansi(session: &Session, paint: Paint, with_rejected: bool, zone: Zone) -> String {
    let mut out = heading(&session.display_title(), paint) + "\n";
    out += &faint(&words::facts(session, zone).join(" · "), paint);
    out += "\n";
    if !session.system().is_empty() {
        out += &format!(
            "\n{}\n{}\n",
            heading("System prompt", paint),
            text::visible(session.system())
        );
    }
    for turn in &session.turns {
        out += &format!(
            "\n{}\n{}",
            heading(&words::speaker(session, turn), paint),
            typed(turn, paint)
        );
        turn.runs
            .iter()
            .for_each(|run| out += &generated(run, paint, with_rejected));
        out.push('\n');
        for run in &turn.runs {
            out += &faint(&words::run(session, turn, run), paint);
            out.push('\n');
        }
    }
    out + "\n" + &legend(paint)
}

fn generated(run: &Run, paint: Paint, with_rejected: bool) -> String {
    let mut shown = run.shown();
    let mut out = String::new();
    for round in &run.rounds {
        shown
            .by_ref()
            .take(round.accepted())
            .for_each(|(_, kept)| out += &token(&kept, paint));
        if with_rejected {
            out += &rejected(round, paint);
        }
        shown
            .by_ref()
            .take(usize::from(round.closing().is_some()))
            .for_each(|(_, kept)| out += &token(&kept, paint));
    }
    out
}

/// What was typed of a turn.
pub fn typed(turn: &Turn, paint: Paint) -> String {
    in_look(&text::visible(&turn.text), style(Origin::Prompt), paint)
}

/// One token in the look of its origin.
pub fn token(token: &KeptToken<'_>, paint: Paint) -> String {
    in_look(&text::visible(token.text), style(token.origin), paint)
}

/// The rejected drafts of a round, struck through.
pub fn rejected(round: &Round, paint: Paint) -> String {
    words::rejected(round)
        .map(|token| in_look(&text::one_line(token.text), &REJECTED, paint))
        .collect()
}

/// One line that tells what the looks mean.
pub fn legend(paint: Paint) -> String {
    let words = GENERATED.map(|origin| in_look(style(origin).name, style(origin), paint));
    words.join("  ") + "\n"
}

/// A line that heads others.
pub fn heading(text: &str, paint: Paint) -> String {
    styled(text, if paint == Paint::Off { "" } else { BOLD })
}

/// A line that stands back.
pub fn faint(text: &str, paint: Paint) -> String {
    styled(text, if paint == Paint::Off { "" } else { DIM })
}

fn in_look(text: &str, look: &OriginStyle, paint: Paint) -> String {
    styled(text, &look.sgr(paint))
}

/// `text` under a style, line by line: a pager that cuts between lines then never leaks one.
fn styled(text: &str, sgr: &str) -> String {
    if sgr.is_empty() {
        return text.to_owned();
    }
    let style = |line: &str| {
        if line.is_empty() {
            String::new()
        } else {
            format!("\x1b[{sgr}m{line}\x1b[0m")
        }
    };
    text.split('\n').map(style).collect::<Vec<_>>().join("\n")
}
