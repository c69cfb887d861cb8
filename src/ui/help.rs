//! The help: words, keys, mouse, commands and settings, laid out for the available width.

use super::Canvas;
use super::theme::Role;
use super::widgets::{Cells, wrap_words};
use crate::app::commands::COMMANDS;
use crate::app::input::Context;
use crate::app::input::action::{AppAction, ViewAction};
use crate::app::state::Topic;
use crate::app::{Control, Pane};

/// Cells between a name and its meaning.
const GAP: u16 = 2;
/// Max cells of keys with the same action.
const KEYS: u16 = 22;

type Line = (String, Role);

/// A part of the help: names and their meanings.
struct Section {
    title: &'static str,
    entries: Vec<(String, String)>,
    /// Whether entries are short enough for two columns.
    in_columns: bool,
}

/// The help in lines of `width` cells.
pub fn lines(canvas: &Canvas<'_>, width: u16, topic: &Topic) -> Vec<Line> {
    let mut sections = sections(canvas);
    match topic {
        Topic::Everything => {}
        Topic::Commands => sections.rotate_right(2),
        Topic::Word(word) => sections = about(sections, word),
    }
    let mut lines: Vec<Vec<Line>> = sections.iter().map(|part| part.lines(width)).collect();
    if let (Topic::Word(word), true) = (topic, lines.is_empty()) {
        let text = format!("The help does not mention “{word}”. /? alone lists the commands.");
        let text = wrap_words(&text, width).into_iter();
        lines.push(text.map(|line| (line, Role::Text)).collect());
    }
    lines.join(&(String::new(), Role::Text))
}

/// All parts: words, keys from the key map, the mouse, commands and settings.
fn sections(canvas: &Canvas<'_>) -> Vec<Section> {
    let table = |title, entries| Section {
        title,
        entries,
        in_columns: false,
    };
    let keys = Context::ALL.into_iter().map(|context| Section {
        title: context.heading(),
        entries: bindings(canvas, context),
        in_columns: true,
    });
    let commands = COMMANDS.map(|command| (command.usage.to_owned(), command.what.to_owned()));
    let settings = Control::of_model(canvas.state.model.as_ref());
    let settings = settings
        .into_iter()
        .map(|control| (control.name().to_owned(), control.meaning().to_owned()));
    [table("Words", words(canvas))]
        .into_iter()
        .chain(keys.filter(|part| !part.entries.is_empty()))
        .chain([
            table("With the mouse", mouse(canvas)),
            table("Commands", commands.into()),
            table("Settings, for /set", settings.collect()),
        ])
        .collect()
}

/// The entries that mention a word, and whole sections whose titles do.
fn about(sections: Vec<Section>, word: &str) -> Vec<Section> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], " ");
    let word = plain(word);
    let mentions = |text: &str| plain(text).contains(&word);
    let mut found = sections;
    for part in &mut found {
        if !mentions(part.title) {
            part.entries
                .retain(|(name, meaning)| mentions(name) || mentions(meaning));
        }
    }
    found.retain(|part| !part.entries.is_empty());
    found
}

impl Section {
    fn lines(&self, width: u16) -> Vec<Line> {
        let lines = match self.in_columns {
            true => columns(&self.entries, width),
            false => table(&self.entries, width),
        };
        let lines = lines.into_iter().map(|line| (line, Role::Text));
        [(self.title.to_owned(), Role::Heading)]
            .into_iter()
            .chain(lines)
            .collect()
    }
}

/// The terms and styles on screen.
fn words(canvas: &Canvas<'_>) -> Vec<(String, String)> {
    let settings = [
        (
            "exit layer E",
            "layers that draft: few are fast, many are accurate",
        ),
        (
            "speculations K",
            "tokens drafted before all layers verify them at once",
        ),
    ];
    let settings = settings.map(|(name, meaning)| (format!("  {name}"), meaning.to_owned()));
    let arrow = canvas.theme.symbols.arrow;
    let marks = [
        (format!("  ‹E 8{arrow}12›"), "from here on you set E to 12"),
        (
            "  ‹auto: E 6›".to_owned(),
            "from here on auto drafts from this exit, or decodes plainly",
        ),
    ];
    let marks = marks.map(|(mark, meaning)| (mark, meaning.to_owned()));
    let show = canvas
        .app
        .key_name(Pane::Prompt, ViewAction::ToggleRejected);
    let looks = [
        Role::Accepted,
        Role::Corrected,
        Role::Bonus,
        Role::Plain,
        Role::Rejected,
    ];
    let looks = looks.into_iter().filter_map(|role| {
        let look = role.token()?;
        let meaning = match role {
            Role::Rejected => format!("{}; {show} shows them in the text", look.meaning),
            _ => look.meaning.to_owned(),
        };
        Some((
            format!("{} {}", canvas.theme.symbol(role), look.name),
            meaning,
        ))
    });
    settings.into_iter().chain(looks).chain(marks).collect()
}

/// What the mouse does.
fn mouse(canvas: &Canvas<'_>) -> Vec<(String, String)> {
    let leave = canvas.app.key_name(Context::Global, AppAction::ToggleMouse);
    let rows = [
        ("sliders", "drag, or scroll over them"),
        ("words, rounds", "click to select"),
        ("keys below", "click to press"),
        (
            &leave,
            "leaves the mouse to the terminal, for selecting text",
        ),
    ];
    rows.map(|(what, how)| (what.to_owned(), how.to_owned()))
        .into()
}

/// The keys of a context, grouped by action.
fn bindings(canvas: &Canvas<'_>, context: Context) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = Vec::new();
    for (_, key, action) in canvas
        .app
        .shared
        .keys
        .bindings()
        .filter(|(within, ..)| *within == context)
    {
        let (key, label) = (key.to_string(), action.label());
        match entries.iter_mut().find(|(_, other)| *other == label) {
            Some((keys, _)) if keys.as_str().cells() + 1 + key.as_str().cells() <= KEYS => {
                keys.push_str(&format!(" {key}"));
            }
            Some(_) => {}
            None => entries.push((key, label)),
        }
    }
    entries
}

/// Entries in two columns if they fit, else in one.
fn columns(entries: &[(String, String)], width: u16) -> Vec<String> {
    let side = |from: usize| entries.iter().skip(from).step_by(2);
    let [left, right] = [0, 1].map(|from| widest(side(from).map(|(keys, _)| keys)));
    let labels = [0, 1].map(|from| widest(side(from).map(|(_, label)| label)));
    let middle = GAP + left + GAP + labels[0] + GAP;
    if middle + right + GAP + labels[1] > width {
        return table(entries, width);
    }
    let whole = |(keys, label): &(String, String), column: u16| {
        format!("{}{label}", filled(keys, column + GAP))
    };
    let line = |pair: &[(String, String)]| {
        let first = format!(
            "{:GAP$}{}",
            "",
            whole(&pair[0], left),
            GAP = usize::from(GAP)
        );
        match pair.get(1) {
            Some(second) => filled(&first, middle) + &whole(second, right),
            None => first,
        }
    };
    entries.chunks(2).map(line).collect()
}

/// Names in one column, their meanings wrapped beside them.
fn table(entries: &[(String, String)], width: u16) -> Vec<String> {
    let names = GAP + widest(entries.iter().map(|(name, _)| name)) + GAP;
    let room = width.saturating_sub(names).max(1);
    let rows = entries.iter().flat_map(|(name, meaning)| {
        let name = filled("", GAP) + name;
        let lines = wrap_words(meaning, room).into_iter().enumerate();
        lines.map(move |(at, line)| filled(if at == 0 { &name } else { "" }, names) + &line)
    });
    rows.collect()
}

fn widest<'a>(texts: impl Iterator<Item = &'a String>) -> u16 {
    texts.map(|text| text.as_str().cells()).max().unwrap_or(0)
}

/// `text`, padded to `cells`.
fn filled(text: &str, cells: u16) -> String {
    let fill = cells.saturating_sub(text.cells());
    format!("{text}{}", " ".repeat(fill.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// At any width, no word is lost, names and meanings stay apart, and no line is too wide.
        #[test]
        fn columns_never_run_together(
            entries in proptest::collection::vec(("[a-z←→-]{1,24}", "[a-z]{1,9}( [a-z]{1,9}){0,4}"), 1..7),
            width in 40u16..120,
        ) {
            let lines = columns(&entries, width);
            let text = lines.join("\n");
            for (name, meaning) in &entries {
                prop_assert!(text.contains(&format!("{name}  ")), "{name:?} in\n{text}");
                for word in meaning.split(' ') {
                    prop_assert!(text.contains(word));
                }
            }
            for line in &lines {
                prop_assert!(line.as_str().cells() <= width, "{line:?}");
            }
        }
    }
}
