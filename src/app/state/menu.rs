//! The menu above the prompt while a slash command is typed: commands, or values of its argument.

use super::{Listed, Shared, State};
use crate::app::appearance::ThemeName;
use crate::app::commands::{Argument, COMMANDS, Command, choose, given};
use crate::app::controls::{Control, Kind};
use crate::app::input::action::Pane;
use crate::transcript::Summary;

/// Max suggestions of a menu.
const MAX: usize = 200;

/// Suggestions for the command in the prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Menu {
    /// The text that they complete; the menu is hidden if the prompt differs.
    pub(in crate::app) text: String,
    pub entries: Vec<Suggestion>,
    /// The suggestion that Enter takes; `None` where free text is as likely.
    pub selected: Option<usize>,
    /// What the command does or takes, if there is nothing to suggest.
    pub hint: Option<(String, String)>,
    /// The folder whose files are suggested, as typed; empty for the current folder.
    pub(in crate::app) folder: Option<String>,
    /// Whether saved sessions are suggested.
    pub(in crate::app) wants_sessions: bool,
}

/// One way to complete the prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    pub label: String,
    /// Its meaning, in one line.
    pub note: String,
    /// The prompt after completion.
    pub text: String,
    /// Whether the prompt is a complete command then.
    pub complete: bool,
}

/// The files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// As typed in the prompt.
    pub path: String,
    pub entries: Vec<FolderEntry>,
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub name: String,
    pub is_folder: bool,
}

impl Menu {
    /// Moves the selection, wrapping around at the ends.
    pub(in crate::app) fn step(&mut self, by: isize) {
        let count = self.entries.len() as isize;
        if count > 0 {
            let from = self
                .selected
                .map_or(if by > 0 { -1 } else { 0 }, |at| at as isize);
            self.selected = Some((from + by).rem_euclid(count) as usize);
        }
    }

    /// Moves the selection by several entries, stopping at the ends.
    pub(in crate::app) fn page(&mut self, by: isize) {
        if let Some(last) = self.entries.len().checked_sub(1) {
            let from = self.selected.unwrap_or(0);
            self.selected = Some(from.saturating_add_signed(by).min(last));
        }
    }

    /// The suggestion that Enter takes.
    pub fn chosen(&self) -> Option<&Suggestion> {
        self.entries.get(self.selected?)
    }

    /// The menu for the prompt of `state`; `None` if it is not a command.
    pub(in crate::app) fn of(
        state: &State,
        shared: &Shared,
        folder: Option<&Folder>,
    ) -> Option<Self> {
        let text = state.prompt.text();
        if !text.starts_with('/') || text.contains('\n') {
            return None;
        }
        let mut menu = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        match given(text) {
            Some((command, argument)) => menu.argument(state, shared, folder, command, argument),
            None => menu.commands(),
        }
        menu.entries.truncate(MAX);
        (!menu.entries.is_empty() || menu.hint.is_some()).then_some(menu)
    }

    fn commands(&mut self) {
        let fitting = COMMANDS.iter().filter(|command| {
            command.words().starts_with(self.text.as_str()) || command.name() == self.text
        });
        let entry = |command: &Command| Suggestion {
            label: command.usage.to_owned(),
            note: command.what.to_owned(),
            text: command.words().to_owned() + if command.takes_argument() { " " } else { "" },
            complete: command.is_complete(),
        };
        self.entries = fitting.map(entry).collect();
        self.selected = Some(0);
    }

    fn argument(
        &mut self,
        state: &State,
        shared: &Shared,
        folder: Option<&Folder>,
        command: &Command,
        argument: &str,
    ) {
        let words = command.words();
        self.hint = Some((command.usage.to_owned(), command.what.to_owned()));
        match command.argument {
            Argument::Text => {}
            Argument::Setting => self.setting(state, argument),
            Argument::Theme => {
                let names = ThemeName::ALL.map(ThemeName::label);
                self.values(words, &names, argument, shared.appearance.theme.label());
            }
            Argument::Preset => {
                let names: Vec<&str> = shared.config.presets.keys().map(String::as_str).collect();
                self.values(words, &names, argument, "");
            }
            Argument::Path => self.files(words, argument, folder, |_| true),
            Argument::Session => {
                self.sessions(state, words, argument);
                self.files(words, argument, folder, |_| true);
            }
            Argument::Model => {
                let fits = |label: &str| label.to_lowercase().contains(&argument.to_lowercase());
                let models = shared.models.iter().filter_map(|choice| {
                    let name = choice.model.as_ref().filter(|name| fits(name))?;
                    Some(Suggestion {
                        label: choice.label.clone(),
                        note: choice.note.clone(),
                        text: format!("{words} {name}"),
                        complete: true,
                    })
                });
                self.entries = models.collect();
                // The files of a server are not known here.
                if state.remote.is_none() {
                    self.files(words, argument, folder, |name| {
                        name.to_lowercase().ends_with(".gguf")
                    });
                }
            }
        }
    }

    /// `/set NAME` or `/set NAME VALUE`.
    fn setting(&mut self, state: &State, argument: &str) {
        let split = Control::split(argument);
        let is_name = |value: &str| value.is_empty() && !argument.ends_with(char::is_whitespace);
        if split.as_ref().map_or(true, |(_, value)| is_name(value)) {
            let near = match split {
                _ if argument.is_empty() => Control::of_model(state.model.as_ref()),
                Ok((control, _)) => vec![control],
                Err((_, near)) => near,
            };
            let entry = |control: &Control| Suggestion {
                label: control.name().to_owned(),
                note: match control.show(&state.settings, state.model.as_ref()) {
                    value if value.is_empty() => control.meaning().to_owned(),
                    value => format!("{value}: {}", control.meaning()),
                },
                text: format!("/set {} ", control.name()),
                complete: false,
            };
            self.entries = near.iter().map(entry).collect();
            if "theme".starts_with(argument) {
                self.entries.push(Suggestion {
                    label: "theme".into(),
                    note: "the colours of the screen".into(),
                    text: "/set theme ".into(),
                    complete: false,
                });
            }
            // After a space, what is written may be meant as it is.
            let is_open = argument.contains(char::is_whitespace) && self.entries.len() != 1;
            self.selected = (!self.entries.is_empty() && !is_open).then_some(0);
            return;
        }
        let Ok((control, value)) = split else {
            return;
        };
        let words = format!("/set {}", control.name());
        let now = control.show(&state.settings, state.model.as_ref());
        match control.kind(state.model.as_ref()) {
            Kind::Choice(names) => {
                self.values(&words, names, value, &now);
                // Enter does not complete what is the name of something else.
                if !control.others_with_choice(value).is_empty() {
                    self.selected = None;
                }
            }
            Kind::Toggle => self.values(&words, &["on", "off"], value, &now),
            Kind::Slider(range) | Kind::Number(range) => {
                let default = match control.takes_model_default() {
                    true => " (-1: the model's default)",
                    false => "",
                };
                let about = format!(
                    "{} to {}{default}, now {now}: {}",
                    range.min,
                    range.max,
                    control.meaning()
                );
                self.hint = Some((control.name().to_owned(), about));
            }
            Kind::Text => {
                self.hint = Some((control.name().to_owned(), control.meaning().to_owned()));
            }
        }
    }

    /// One of several names.
    fn values(&mut self, words: &str, names: &[&str], begun: &str, now: &str) {
        let fitting = match choose(names, begun.trim()) {
            Ok(one) => vec![one],
            Err(near) => near,
        };
        let entry = |at: usize| Suggestion {
            label: names[at].to_owned(),
            note: if names[at] == now { "now" } else { "" }.into(),
            text: format!("{words} {}", names[at]),
            complete: true,
        };
        self.entries = fitting.into_iter().map(entry).collect();
        self.selected = (!self.entries.is_empty()).then_some(0);
    }

    /// Saved sessions whose name or title contains what is written.
    fn sessions(&mut self, state: &State, words: &str, begun: &str) {
        // Those who watch a server have no session.
        self.wants_sessions = !state.is_read_only();
        let wanted = begun.to_lowercase();
        let fits = |session: &&Listed| {
            let Summary {
                id, totals, fault, ..
            } = &session.summary;
            let contains = |text: &str| text.to_lowercase().contains(&wanted);
            fault.is_none() && (contains(id) || contains(&totals.title))
        };
        let suggestion = |session: &Listed| Suggestion {
            label: session.summary.id.clone(),
            note: session.summary.totals.title.clone(),
            text: format!("{words} {}", session.summary.id),
            complete: true,
        };
        let sessions = state.menu_sessions.iter().flatten();
        self.entries = sessions.filter(fits).map(suggestion).collect();
    }

    /// Folders, and files whose name matches.
    fn files(
        &mut self,
        words: &str,
        begun: &str,
        folder: Option<&Folder>,
        fits: impl Fn(&str) -> bool,
    ) {
        let (path, name) = begun
            .rfind('/')
            .map_or(("", begun), |at| begun.split_at(at + 1));
        self.folder = Some(path.to_owned());
        let Some(folder) = folder.filter(|folder| folder.path == path) else {
            return;
        };
        let shown = |entry: &&FolderEntry| {
            let hidden = entry.name.starts_with('.') && !name.starts_with('.');
            let typeable = !entry.name.chars().any(char::is_control);
            let wanted = entry.is_folder || fits(&entry.name);
            entry.name.starts_with(name) && !hidden && typeable && wanted
        };
        let suggestion = |entry: &FolderEntry| {
            let end = if entry.is_folder { "/" } else { "" };
            Suggestion {
                label: format!("{}{end}", entry.name),
                note: if entry.is_folder { "folder" } else { "" }.into(),
                text: format!("{words} {path}{}{end}", entry.name),
                complete: !entry.is_folder,
            }
        };
        let found = folder.entries.iter().filter(shown).map(suggestion);
        self.entries.extend(found);
    }
}

impl State {
    /// The menu above the prompt, unless it is for another text.
    pub fn menu(&self) -> Option<&Menu> {
        let here = self.live
            && self.focus == Pane::Prompt
            && self.overlay.is_none()
            && self.find.is_none();
        self.menu
            .as_ref()
            .filter(|menu| here && menu.text == self.prompt.text())
    }
}
