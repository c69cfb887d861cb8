//! Markdown: every message in a fenced block, so that nothing in it is parsed as markup, a link or HTML.

use super::describe;
use crate::safe_text;
use crate::transcript::{Session, Turn, Zone};
use std::fmt::Write;

/// `session` as Markdown.
pub fn markdown(session: &Session) -> String {
    let mut out = format!(
        "# {}\n\n{}\n",
        inline(&title(session)),
        inline(&describe::facts(session, Zone::Utc).join(" · "))
    );
    if !session.system().is_empty() {
        let _ = write!(out, "\n## System prompt\n\n{}", fenced(session.system()));
    }
    session
        .turns
        .iter()
        .for_each(|turn| message(&mut out, session, turn));
    out.push_str("\n## Statistics\n\n| statistic | value |\n|---|---:|\n");
    for (name, value) in describe::statistics(&session.stats()) {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    out
}

fn title(session: &Session) -> String {
    Some(session.display_title())
        .filter(|title| !title.is_empty())
        .unwrap_or_else(|| "A session".into())
}

fn message(out: &mut String, session: &Session, turn: &Turn) {
    let _ = write!(
        out,
        "\n## {}\n\n{}",
        inline(&describe::speaker(session, turn)),
        fenced(&turn.content())
    );
    for run in &turn.runs {
        let settings = describe::settings(run).join("; then ");
        let words = [describe::run(session, turn, run), settings];
        let words: Vec<String> = words
            .into_iter()
            .filter(|words| !words.is_empty())
            .collect();
        let _ = write!(out, "\n{}\n", inline(&words.join(" · ")));
    }
}

/// A fenced code block. Its fence is longer than any run of backticks in the text, so the text cannot close it.
fn fenced(message: &str) -> String {
    let message = safe_text::visible(message);
    let (mut longest, mut here) = (0, 0);
    for c in message.chars() {
        here = if c == '`' { here + 1 } else { 0 };
        longest = longest.max(here);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{message}\n{fence}\n")
}

/// Inline text with all Markdown syntax escaped.
fn inline(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    for c in safe_text::one_line(words).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Bare URLs must not become links.
            ':' => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '~' | '!' | '$' | '{'
            | '}' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
