//! A self-contained HTML page: every token in the style of its origin with its numbers on hover and focus, statistics,
//! and a table of the rounds of each answer.
//!
//! The page has no scripts, and its content security policy would block one even if escaping failed.

use super::{describe, lens};
use crate::engine::decode::{KeptToken, Origin, Round, Stats};
use crate::safe_text::{self, html as escape};
use crate::transcript::origin_style::{Colours, GENERATED, Ink, OriginStyle, REJECTED, style};
use crate::transcript::{Run, Session, Turn, Zone};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// `session` as an HTML page.
pub fn html(session: &Session) -> String {
    let title = Some(session.display_title())
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| "A session".into());
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"skiplens\">\n<title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n",
        styles(),
        title = escape(&title),
    );
    let facts: Vec<String> = describe::facts(session, Zone::Utc)
        .iter()
        .map(|fact| format!("<li>{}</li>", escape(fact)))
        .collect();
    let _ = writeln!(
        out,
        "<body>\n<header>\n<a class=\"skip\" href=\"#statistics\">Skip to the statistics</a>\n<h1 dir=\"auto\">{}</h1>\n\
         <ul class=\"facts\">{}</ul>\n{}</header>\n<main>",
        escape(&title),
        facts.concat(),
        legend(session)
    );
    if !session.system().is_empty() {
        let system = escape(session.system());
        let _ = writeln!(
            out,
            "<article class=\"system\"><h2>System prompt</h2><div class=\"text\" dir=\"auto\">{system}</div></article>"
        );
    }
    session
        .turns
        .iter()
        .enumerate()
        .for_each(|(at, turn)| article(&mut out, session, at, turn));
    statistics(&mut out, &session.stats());
    out.push_str("</main>\n<footer>Made by skiplens. Hover over a token, or move to it with the Tab key, to see its numbers.</footer>\n</body>\n</html>\n");
    out
}

/// The styles of the origins as CSS: colours as variables, attributes as one class per origin.
fn styles() -> String {
    let styles: Vec<&OriginStyle> = GENERATED
        .into_iter()
        .chain([Origin::Prompt])
        .map(style)
        .chain([&REJECTED])
        .collect();
    let colours = |pick: fn(&Colours) -> Ink| {
        let variable = |name: &str, suffix: &str, colours: Option<Colours>| match colours {
            Some(colours) => format!("--{name}{suffix}: #{:06x};", pick(&colours).rgb),
            None => String::new(),
        };
        styles
            .iter()
            .flat_map(|style| {
                [
                    variable(style.name, "", style.colours),
                    variable(style.name, "-ground", style.fill.map(|fill| fill.ground)),
                    variable(style.name, "-text", style.fill.map(|fill| fill.text)),
                ]
            })
            .collect::<String>()
    };
    let classes: String = styles
        .iter()
        .map(|style| format!(".{} {{ {} }}\n", style.name, style.css()))
        .collect();
    format!(
        ":root {{ {} }}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {} }} }}\n{classes}",
        colours(|colours| colours.light),
        colours(|colours| colours.dark)
    )
}

/// The legend, and the switch that shows rejected drafts.
fn legend(session: &Session) -> String {
    let mut out = String::from("<div class=\"legend\"><ul>");
    for origin in GENERATED.map(style) {
        let _ = write!(
            out,
            "<li><span class=\"t {0}\">{0}</span> {1}</li>",
            origin.name, origin.meaning
        );
    }
    out.push_str("</ul>");
    if session.rounds().any(|round| round.rejected() > 0) {
        let _ = write!(
            out,
            "<label><input type=\"checkbox\" id=\"show-rejected\"> Show <del class=\"{0}\">{0}</del> drafts in place</label>",
            REJECTED.name
        );
    }
    out + "</div>\n"
}

fn article(out: &mut String, session: &Session, at: usize, turn: &Turn) {
    let kind = describe::serde_name(&turn.role);
    let _ = write!(
        out,
        "<article class=\"{kind}\" id=\"turn-{at}\">\n<h2 dir=\"auto\">{}</h2>\n<div class=\"text\" dir=\"auto\">",
        escape(&describe::speaker(session, turn)),
    );
    if !turn.text.is_empty() {
        let typed = style(Origin::Prompt).name;
        let _ = write!(out, "<span class=\"{typed}\">{}</span>", escape(&turn.text));
    }
    turn.runs.iter().for_each(|run| generated(out, run));
    out.push_str("</div>\n");
    for run in &turn.runs {
        let _ = writeln!(
            out,
            "<p class=\"run\">{}</p>",
            escape(&describe::run(session, turn, run))
        );
        rounds_table(out, run);
        lens_map(out, run);
    }
    out.push_str("</article>\n");
}

/// The tokens of a run, grouped by round.
fn generated(out: &mut String, run: &Run) {
    let mut shown = run.shown().peekable();
    for round in &run.rounds {
        out.push_str("<span class=\"round\">");
        for _ in 0..round.accepted() {
            shown
                .next()
                .into_iter()
                .for_each(|(round, kept)| token(out, round, &kept));
        }
        describe::rejected(round).for_each(|token| rejected(out, round, &token));
        if round.closing().is_some() {
            shown
                .next()
                .into_iter()
                .for_each(|(round, kept)| token(out, round, &kept));
        }
        out.push_str("</span>");
    }
}

fn token(out: &mut String, round: &Round, token: &KeptToken<'_>) {
    if token.text.is_empty() {
        return;
    }
    let name = style(token.origin).name;
    let numbers = escape(&describe::token(round, token, name));
    let text = escape(token.text).replace('\n', "<i class=\"nl\" aria-hidden=\"true\">⏎</i>\n");
    let _ = write!(
        out,
        "<span class=\"t {name}\" tabindex=\"0\" data-n=\"{numbers}\">{text}</span>"
    );
}

fn rejected(out: &mut String, round: &Round, token: &KeptToken<'_>) {
    let numbers = escape(&describe::token(round, token, REJECTED.name));
    let text = escape(&safe_text::one_line(token.text));
    let _ = write!(
        out,
        "<del class=\"t rejected\" tabindex=\"0\" data-n=\"{numbers}\">{text}</del>"
    );
}

fn rounds_table(out: &mut String, run: &Run) {
    if run.rounds.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<details class=\"rounds\"><summary>Rounds ({})</summary><div class=\"wide\"><table><thead><tr><th>round</th>\
         <th>position</th><th>settings</th><th>drafted</th><th>ended by</th><th>accepted</th><th>draft</th><th>verify</th>\
         </tr></thead><tbody>",
        run.rounds.len()
    );
    run.rounds.iter().for_each(|round| round_row(out, round));
    out.push_str("</tbody></table></div></details>\n");
}

/// What every layer would have predicted, if recorded.
fn lens_map(out: &mut String, run: &Run) {
    let Some(lens) = run.lens.as_ref().filter(|lens| !lens.rows.is_empty()) else {
        return;
    };
    let settings = run.rounds.last().map(|round| &round.settings);
    let exit_layer = settings.map_or(1, |settings| settings.exit_layer);
    let _ = writeln!(
        out,
        "<details class=\"rounds\"><summary>Layers ({})</summary><div class=\"wide\">{}</div>\n\
         <p class=\"run\">A column for each token, a row for each layer, the first at the bottom. Filled: the layer \
         would have said the token of the text. The line is the exit layer; the contour is the first layer that \
         agrees.</p></details>",
        lens.rows.len(),
        lens::svg(&lens.rows, exit_layer)
    );
}

fn round_row(out: &mut String, round: &Round) {
    let draft = |class: &str, tag: &str, token: &str| {
        format!(
            "<{tag} class=\"{class}\">{}</{tag}> ",
            escape(&safe_text::one_line(token))
        )
    };
    let texts = round.drafted().iter().enumerate();
    let drafted: String = texts
        .map(|(at, token)| match round.is_kept(at) {
            true => draft(style(Origin::Accepted).name, "span", &token.text),
            false => draft(REJECTED.name, "del", &token.text),
        })
        .collect();
    let last = round.closing().map_or_else(String::new, |token| {
        let name = style(token.origin).name;
        format!("{} <small>{name}</small>", draft(name, "span", &token.text))
    });
    let _ = writeln!(
        out,
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"tokens\">{drafted}</td><td class=\"tokens\">{last}</td>\
         <td>{} of {}</td><td>{}</td><td>{}</td></tr>",
        round.index,
        round.position,
        escape(&short_settings(round)),
        round.accepted(),
        round.drafted().len(),
        describe::millis(round.draft_seconds),
        describe::millis(round.verify_seconds)
    );
}

fn short_settings(round: &Round) -> String {
    use crate::engine::decode::Strategy;
    match round.strategy() {
        Strategy::Autoregressive => "all layers".into(),
        Strategy::EarlyExit => format!("exit {}", round.settings.exit_layer),
        Strategy::SelfSpeculative => format!(
            "E {} K {}",
            round.settings.exit_layer, round.settings.num_speculations
        ),
    }
}

fn statistics(out: &mut String, stats: &Stats) {
    out.push_str("<section id=\"statistics\"><h2>Statistics</h2>\n<dl>");
    for (name, value) in describe::statistics(stats) {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>\n");
    let shares = stats.acceptance_by_position();
    if !shares.is_empty() {
        out.push_str("<h3>Acceptance by draft position</h3>\n<table class=\"bars\"><tbody>");
        for (at, share) in shares.iter().enumerate() {
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}</th><td class=\"bar\"><span style=\"width:{:.1}%\"></span></td><td>{}</td></tr>",
                at + 1,
                share * 100.0,
                describe::percent(Some(*share))
            );
        }
        out.push_str("</tbody></table>\n");
    }
    out.push_str("</section>\n");
}
