//! Normalises command lines into a form that clap parses unambiguously: values that start with a dash, lists of texts,
//! and LayerSkip's underscores.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

/// Rewrites a command line for `command`.
///
/// - `--some_option` becomes `--some-option`, if that is an option.
/// - The argument after an option that takes a value is its value, even if it starts with a dash: `--prompt "- milk"`
///   becomes `--prompt=- milk`. An argument spelled like an option of the command remains an option, so that a missing
///   value is noticed; `--prompt=--json` passes it as text.
/// - An option with several values is repeated for each. After the first value, a dash before a letter starts the next
///   option.
/// - Everything after `--` is unchanged.
pub fn normalise(args: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut command = command.clone();
    command.build();
    let mut command = &command;
    let mut args = args.into_iter().peekable();
    let mut out: Vec<OsString> = args.next().into_iter().collect();
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            break;
        }
        match Spelled::read(command, &arg) {
            Some(option) => option.rewrite(command, &mut args, &mut out),
            None => {
                command = command.find_subcommand(&arg).unwrap_or(command);
                out.push(arg);
            }
        }
    }
    out.extend(args);
    out
}

/// An option as spelled on the command line.
struct Spelled<'a> {
    arg: &'a Arg,
    /// Its name in clap, with dashes.
    name: String,
    /// The attached value: `=value`, or `5` in `-n5`; empty without one.
    attached: String,
    underscored: bool,
}

impl<'a> Spelled<'a> {
    /// Parses `text` as an option of `command`; `None` if it is not one.
    fn read(command: &'a Command, text: &OsStr) -> Option<Self> {
        // A non-UTF-8 option has its value attached; clap parses it unchanged.
        let text = text.to_str()?;
        let known = |is: &dyn Fn(&Arg) -> bool| command.get_arguments().find(|arg| is(arg));
        let Some(text) = text.strip_prefix("--") else {
            let mut rest = text.strip_prefix('-')?.chars();
            let short = rest.next()?;
            let arg = known(&|arg| arg.get_short() == Some(short))?;
            return Some(Self {
                arg,
                name: format!("-{short}"),
                attached: rest.as_str().to_owned(),
                underscored: false,
            });
        };
        let (written, attached) = text.split_at(text.find('=').unwrap_or(text.len()));
        let long = written.replace('_', "-");
        let is_alias = |arg: &Arg| {
            arg.get_all_aliases()
                .is_some_and(|all| all.contains(&long.as_str()))
        };
        let arg = known(&|arg| arg.get_long() == Some(&long) || is_alias(arg))?;
        Some(Self {
            arg,
            underscored: written.contains('_'),
            name: format!("--{long}"),
            attached: attached.to_owned(),
        })
    }

    /// Moves the option and its values from `args` to `out`.
    fn rewrite(
        self,
        command: &Command,
        args: &mut Peekable<impl Iterator<Item = OsString>>,
        out: &mut Vec<OsString>,
    ) {
        let mut whole = OsString::from(&self.name);
        if !self.attached.is_empty() {
            whole.push(&self.attached);
            out.push(whole);
            return;
        }
        let (min, max) = self
            .arg
            .get_num_args()
            .map_or((0, 0), |range| (range.min_values(), range.max_values()));
        if min == 0 {
            out.push(whole);
            return;
        }
        let is_value = |arg: &OsString| arg != "--" && !is_option(command, arg);
        let Some(first) = args.next_if(is_value) else {
            out.push(whole);
            return;
        };
        let mut values = vec![first];
        while max > 1
            && let Some(next) = args.next_if(|arg| arg != "--" && !begins_option(arg))
        {
            values.push(next);
        }
        // In LayerSkip's spelling `None` means no list; in skiplens' own it is ordinary text.
        if self.underscored && max > 1 && values == ["None"] {
            return;
        }
        out.extend(values.into_iter().map(|value| {
            let mut whole = whole.clone();
            whole.push("=");
            whole.push(value);
            whole
        }));
    }
}

/// Whether `text` is spelled like an option of `command`: `--name`, `--name=value` or `-n`.
fn is_option(command: &Command, text: &OsStr) -> bool {
    Spelled::read(command, text)
        .is_some_and(|option| option.name.starts_with("--") || option.attached.is_empty())
}

/// Whether `text` can only be an option, known or mistyped.
fn begins_option(text: &OsStr) -> bool {
    let text = text.to_string_lossy();
    let name = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
    name.is_some_and(|name| name.starts_with(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command;
    use proptest::prelude::*;

    fn rewritten(line: &[&str]) -> Vec<String> {
        normalise(
            ["skiplens"].iter().chain(line).map(OsString::from),
            &command(),
        )
        .into_iter()
        .skip(1)
        .map(|arg| arg.into_string().unwrap())
        .collect()
    }

    #[test]
    fn layerskip_names_become_ours_and_values_stay() {
        assert_eq!(
            rewritten(&[
                "generate",
                "--exit_layer",
                "8",
                "--generation_strategy=self_speculative",
                "--prompt",
                "--a_b"
            ]),
            [
                "generate",
                "--exit-layer=8",
                "--generation-strategy=self_speculative",
                "--prompt=--a_b"
            ],
        );
        assert_eq!(
            rewritten(&["generate", "--no_such", "--", "--exit_layer"]),
            ["generate", "--no_such", "--", "--exit_layer"]
        );
    }

    #[test]
    fn values_may_begin_with_a_dash() {
        assert_eq!(
            rewritten(&["generate", "--prompt", "- milk", "-E", "-1", "-n5"]),
            ["generate", "--prompt=- milk", "-E=-1", "-n5"]
        );
        assert_eq!(
            rewritten(&["generate", "-p", "-5 + 3 =", "--seed", "-1", "--json"]),
            ["generate", "-p=-5 + 3 =", "--seed=-1", "--json"]
        );
        assert_eq!(
            rewritten(&["generate", "--prompt", "--json", "--model", "-n", "4"]),
            ["generate", "--prompt", "--json", "--model", "-n=4"],
            "a forgotten value is no text"
        );
        assert_eq!(
            rewritten(&["generate", "--prompt=--json"]),
            ["generate", "--prompt=--json"]
        );
    }

    #[test]
    fn lists_end_at_the_next_option() {
        assert_eq!(
            rewritten(&[
                "generate",
                "--stop-words",
                "---",
                "- x",
                "-5",
                "-E6",
                "--json"
            ]),
            [
                "generate",
                "--stop-words=---",
                "--stop-words=- x",
                "--stop-words=-5",
                "-E6",
                "--json"
            ]
        );
        assert_eq!(
            rewritten(&["generate", "--stop_words", "a", "--typo", "b"]),
            ["generate", "--stop-words=a", "--typo", "b"]
        );
    }

    #[test]
    fn none_is_no_list_in_layerskips_spelling() {
        assert_eq!(
            rewritten(&["generate", "--stop_words", "None", "--json"]),
            ["generate", "--json"]
        );
        assert_eq!(
            rewritten(&["generate", "--stop-words", "None"]),
            ["generate", "--stop-words=None"]
        );
    }

    #[test]
    fn a_value_that_names_a_command_is_a_value() {
        assert_eq!(
            rewritten(&["--model", "bench", "-K", "2"]),
            ["--model=bench", "-K=2"]
        );
    }

    proptest! {
        /// Any text passes unchanged, as a prompt and as a stop word.
        #[test]
        fn texts_arrive(text in "[- =_a-z0-9\u{e9}]{1,12}") {
            let parse = |line: &[&str]| {
                let args = ["skiplens"].iter().chain(line).map(OsString::from);
                command().try_get_matches_from(normalise(args, &command()))
            };
            // Built, so that it has `-h`.
            let mut built = command();
            built.build();
            let generate = built.find_subcommand("generate").unwrap();
            prop_assume!(!is_option(generate, OsStr::new(&text)) && text != "--");
            for name in ["-p", "--prompt"] {
                let matches = parse(&["generate", name, &text, "--json"]).unwrap();
                let (_, matches) = matches.subcommand().unwrap();
                prop_assert_eq!(matches.get_one::<String>("prompt"), Some(&text));
                prop_assert!(matches.get_flag("json"));
            }
            let matches = parse(&["generate", "--stop-words", &text, "--json"]).unwrap();
            let (_, matches) = matches.subcommand().unwrap();
            prop_assert_eq!(matches.get_one::<String>("stop_words"), Some(&text));
            prop_assert!(matches.get_flag("json"));
        }
    }
}
