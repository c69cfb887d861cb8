//! The slash commands: words, arguments and meanings. Their names follow ollama.

/// A command: its syntax and what it does. The menu and the help are built from this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// `/set theme NAME`: placeholders are in capitals, optional ones in brackets.
    pub usage: &'static str,
    /// What it does, in one line.
    pub what: &'static str,
    pub argument: Argument,
}

/// What to suggest for the argument of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// Nothing: no argument, or free text.
    Text,
    /// A control and its value.
    Setting,
    Theme,
    Preset,
    /// A model that the picker lists, or a path.
    Model,
    /// A path of any file.
    Path,
    /// A saved session, by its name or path.
    Session,
}

const fn command(usage: &'static str, argument: Argument, what: &'static str) -> Command {
    Command {
        usage,
        what,
        argument,
    }
}

/// All commands, in the order of the help.
pub const COMMANDS: [Command; 24] = [
    command(
        "/set NAME VALUE",
        Argument::Setting,
        "change a setting: /set exit 8, /set temp 0.7, /set seed 1",
    ),
    command(
        "/set system TEXT",
        Argument::Text,
        "instructions for the model, before the conversation",
    ),
    command(
        "/set theme NAME",
        Argument::Theme,
        "default, color-blind, monochrome, light",
    ),
    command("/show", Argument::Text, "model, settings and statistics"),
    command("/save NAME", Argument::Path, "save this session"),
    command(
        "/load [NAME]",
        Argument::Session,
        "resume a saved session; without a name, choose one",
    ),
    command(
        "/sessions",
        Argument::Text,
        "list the saved sessions: open, rename, delete, replay",
    ),
    command(
        "/replay [NAME]",
        Argument::Session,
        "replay a saved session; without a name, choose one",
    ),
    command(
        "/picture [NAME]",
        Argument::Path,
        "save a screenshot, NAME.svg",
    ),
    command(
        "/model [NAME]",
        Argument::Model,
        "load a model, by path or Hugging Face id, or choose one",
    ),
    command(
        "/preset [NAME]",
        Argument::Preset,
        "use a preset; without a name, choose one",
    ),
    command(
        "/keep NAME",
        Argument::Text,
        "save the current settings as a preset",
    ),
    command("/retry", Argument::Text, "answer the last prompt again"),
    command(
        "/continue",
        Argument::Text,
        "continue the last answer where it stopped",
    ),
    command(
        "/whatif",
        Argument::Text,
        "predict the last answer's speed with other E and K",
    ),
    command(
        "/lens",
        Argument::Text,
        "what every layer predicts along the last answer",
    ),
    command(
        "/race [PROMPT]",
        Argument::Text,
        "drafts against plain decoding: on PROMPT, or the last one",
    ),
    command(
        "/versus OTHER",
        Argument::Preset,
        "race these settings against E and K (8 4), a preset, plain",
    ),
    command(
        "/sweep [FILE]",
        Argument::Path,
        "measure a grid of E and K, or show a sweep's CSV or folder",
    ),
    command(
        "/find [TEXT]",
        Argument::Text,
        "find a text in the conversation",
    ),
    command("/copy", Argument::Text, "copy the last answer"),
    command(
        "/clear",
        Argument::Text,
        "start a new chat; the old one stays in the sessions",
    ),
    command("/bye", Argument::Text, "quit"),
    command(
        "/? [WORD]",
        Argument::Text,
        "help; with a word, what is about it",
    ),
];

impl Command {
    /// The words before its argument: `/set theme`.
    pub fn words(&self) -> &'static str {
        let placeholder = |c: char| c.is_ascii_uppercase() || c == '[';
        self.usage
            .find(placeholder)
            .map_or(self.usage, |at| self.usage[..at].trim_end())
    }

    /// The first word: `/set`.
    pub fn name(&self) -> &'static str {
        self.usage.split(' ').next().unwrap_or(self.usage)
    }

    pub fn takes_argument(&self) -> bool {
        self.words() != self.usage
    }

    /// Whether it can be used without an argument.
    pub fn is_complete(&self) -> bool {
        !self.takes_argument() || self.usage.ends_with(']')
    }

    /// The argument in `text`, if `text` is this command followed by a space.
    pub fn argument_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        let rest = text.strip_prefix(self.words())?;
        rest.starts_with(' ').then(|| rest.trim_start())
    }
}

/// The name in the table of a command's first word: some have a second one.
pub fn canonical(name: &str) -> &str {
    match name {
        "/exit" | "/quit" => "/bye",
        "/help" => "/?",
        name => name,
    }
}

/// The command in `text` and its argument. Commands with more words take precedence: `/set theme` over `/set`.
pub fn given(text: &str) -> Option<(&'static Command, &str)> {
    let fitting = COMMANDS
        .iter()
        .filter_map(|command| Some((command, command.argument_in(text)?)));
    fitting.max_by_key(|(command, _)| command.words().len())
}

/// Whether a prompt is a command: `/word`, not a path like `/etc/hosts`.
pub fn is_command(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    word.strip_prefix('/')
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
        && !text.trim().contains('\n')
}

/// The index of the name that `text` stands for: the full name or an unambiguous prefix. Ignores case, spaces, `-` and
/// `_`.
///
/// # Errors
///
/// With the indices of all names with this prefix, if there is not exactly one.
pub fn choose(names: &[&str], text: &str) -> Result<usize, Vec<usize>> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(text);
    if let Some(exact) = names.iter().position(|name| plain(name) == wanted) {
        return Ok(exact);
    }
    let begun = |(at, name): (usize, &&str)| plain(name).starts_with(&wanted).then_some(at);
    let near: Vec<usize> = names.iter().enumerate().filter_map(begun).collect();
    match near[..] {
        [one] => Ok(one),
        _ => Err(near),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_tells_words_from_placeholders() {
        let of = |usage: &str| COMMANDS.iter().find(|c| c.usage == usage).unwrap();
        let words = |usage| (of(usage).words(), of(usage).is_complete());
        assert_eq!(words("/set theme NAME"), ("/set theme", false));
        assert_eq!(words("/model [NAME]"), ("/model", true));
        assert_eq!(words("/show"), ("/show", true));
        assert_eq!(given("/set theme li").unwrap().1, "li");
        assert_eq!(given("/set exit 8").unwrap().1, "exit 8");
        assert!(given("/set").is_none() && given("/settle x").is_none());
    }

    /// In the menu, on a terminal of 80 columns, usages and meanings are two columns within borders.
    #[test]
    fn every_command_fits_a_line_of_the_menu() {
        let widest = COMMANDS.iter().map(|c| c.usage.len()).max().unwrap();
        for command in COMMANDS {
            let cells = widest + 2 + command.what.chars().count();
            assert!(cells <= 76, "{}: {cells}", command.usage);
        }
    }

    #[test]
    fn beginnings_stand_for_names_unless_they_are_ambiguous() {
        let names = ["off", "confidence", "adaptive K", "E and K"];
        assert_eq!(choose(&names, "ad"), Ok(2));
        assert_eq!(choose(&names, "adaptive-k"), Ok(2));
        assert_eq!(choose(&["on", "off"], "o"), Err(vec![0, 1]));
        assert_eq!(choose(&["on", "one"], "on"), Ok(0));
        assert_eq!(choose(&names, "x"), Err(vec![]));
    }
}
