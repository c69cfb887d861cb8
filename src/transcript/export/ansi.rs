//! Coloured text for a terminal.

use super::describe;
use crate::engine::decode::{KeptToken, Origin, Round};
use crate::safe_text::{StyledText, one_line};
use crate::transcript::origin_style::{GENERATED, OriginStyle, Paint, REJECTED, style};
use crate::transcript::{Run, Session, Turn, Zone};

const BOLD: &str = "1";
const DIM: &str = "2";

/// `session` styled with SGR sequences according to `paint`. `with_rejected` shows rejected drafts in place. The date is
/// shown in `zone`.
pub fn ansi(session: &Session, paint: Paint, with_rejected: bool, zone: Zone) -> StyledText {
    let mut out = heading(&session.display_title(), paint);
    out.push("\n");
    out.append(&faint(&describe::facts(session, zone).join(" · "), paint));
    out.push("\n");
    if !session.system().is_empty() {
        out.push("\n");
        out.append(&heading("System prompt", paint));
        out.push(&format!("\n{}\n", session.system()));
    }
    for turn in &session.turns {
        out.push("\n");
        out.append(&heading(&describe::speaker(session, turn), paint));
        out.push("\n");
        out.append(&typed(turn, paint));
        for run in &turn.runs {
            out.append(&generated(run, paint, with_rejected));
        }
        out.push("\n");
        for run in &turn.runs {
            out.append(&faint(&describe::run(session, turn, run), paint));
            out.push("\n");
        }
    }
    out.push("\n");
    out.append(&legend(paint));
    out
}

fn generated(run: &Run, paint: Paint, with_rejected: bool) -> StyledText {
    let mut shown = run.shown();
    let mut out = StyledText::default();
    for round in &run.rounds {
        for (_, kept) in shown.by_ref().take(round.accepted()) {
            out.append(&token(&kept, paint));
        }
        if with_rejected {
            out.append(&rejected(round, paint));
        }
        let closing = usize::from(round.closing().is_some());
        for (_, kept) in shown.by_ref().take(closing) {
            out.append(&token(&kept, paint));
        }
    }
    out
}

/// The typed text of a turn.
pub fn typed(turn: &Turn, paint: Paint) -> StyledText {
    styled(&turn.text, style(Origin::Prompt), paint)
}

/// A token in the style of its origin.
pub fn token(token: &KeptToken<'_>, paint: Paint) -> StyledText {
    styled(token.text, style(token.origin), paint)
}

/// The rejected drafts of a round, struck through, on one line.
pub fn rejected(round: &Round, paint: Paint) -> StyledText {
    describe::rejected(round)
        .map(|token| styled(&one_line(token.text), &REJECTED, paint))
        .collect()
}

/// One line that explains the styles.
pub fn legend(paint: Paint) -> StyledText {
    let mut line = StyledText::default();
    for (at, origin) in GENERATED.into_iter().enumerate() {
        line.push(if at > 0 { "  " } else { "" });
        line.append(&styled(style(origin).name, style(origin), paint));
    }
    line.push("\n");
    line
}

/// A heading, in bold.
pub fn heading(text: &str, paint: Paint) -> StyledText {
    StyledText::styled(if paint == Paint::Off { "" } else { BOLD }, text)
}

/// Secondary text, dimmed.
pub fn faint(text: &str, paint: Paint) -> StyledText {
    StyledText::styled(if paint == Paint::Off { "" } else { DIM }, text)
}

fn styled(text: &str, style: &OriginStyle, paint: Paint) -> StyledText {
    StyledText::styled(&style.sgr(paint), text)
}
