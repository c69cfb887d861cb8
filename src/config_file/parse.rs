//! Parses the settings file. Errors name the key and its line, and say what it may be.

use crate::app::{Config, Preset};
use crate::error_text;
use crate::names::nearest;
use serde_path_to_error::{Path, Segment};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer, Error};

/// What is wrong with a settings file, in one line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    /// The line in the file, from 1.
    pub line: Option<usize>,
    pub message: String,
}

/// The settings in `text`.
///
/// # Errors
/// Describes the first fault.
pub(super) fn parse(text: &str) -> Result<Config, Fault> {
    let table = DeTable::parse(text).map_err(|error| {
        let message = error.message().trim().replace('\n', ", ");
        Fault::at(text, error.span(), format!("not valid TOML: {message}"))
    })?;
    let deserializer = Deserializer::from(table.clone());
    let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    let config: Config = serde_path_to_error::deserialize(deserializer)
        .map_err(|fault| explain(text, &root, fault.path(), fault.inner()))?;
    check_presets(text, &root, &config)?;
    Ok(config)
}

impl Fault {
    fn at(text: &str, span: Option<Range<usize>>, message: String) -> Self {
        let before = span.and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.matches('\n').count() + 1);
        Self { line, message }
    }
}

/// Describes what is wrong with the value at `path`.
fn explain(text: &str, root: &Spanned<DeValue>, path: &Path, error: &Error) -> Fault {
    // A key that is a variant, as those of `keys` are, is an unknown segment.
    let path = path.iter().filter(|part| !matches!(part, Segment::Unknown));
    let path: Vec<&Segment> = path.collect();
    let (value, fault) = (find(root, &path), error.message().trim());
    let span = error.span().or_else(|| value.map(Spanned::span));
    if let Some((table, name, allowed)) = unknown_key(value, &path, fault) {
        let key = find(root, table).and_then(|table| key(table.get_ref(), name));
        let span = key.map(Spanned::span).or(span);
        return Fault::at(text, span, no_such_key(&spelt(table), name, &allowed));
    }
    let message = match fault.starts_with("there is no ") {
        true => format!("{}: {fault}", spelt(&path)),
        false => {
            let shown = value.and_then(|value| shown(text, value));
            error_text::field(&spelt(&path), shown.as_deref(), fault)
                .replace("an object", "a table")
        }
    };
    Fault::at(text, span, message)
}

/// The table with the unknown key that the message is about, the key, and the keys that there are. `value` is what is at
/// `path`.
fn unknown_key<'p, 'f>(
    value: Option<&Spanned<DeValue>>,
    path: &'p [&'p Segment],
    fault: &'f str,
) -> Option<(&'p [&'p Segment], &'f str, Vec<&'f str>)> {
    if let Some(keys) = fault.strip_prefix("unexpected keys in table: ") {
        let (unknown, known) = keys.split_once(", available keys: ")?;
        let name = unknown.split(", ").next()?;
        return Some((path, name, known.split(", ").collect()));
    }
    // The keys of `keys` are variants.
    let is_variant = fault.starts_with("unknown variant ");
    if !is_variant && !fault.starts_with("unknown field ") {
        return None;
    }
    let mut names = fault.split('`').skip(1).step_by(2);
    let name = names.next()?;
    let is_key_of = |table: &DeValue| key(table, name).is_some();
    let table = match path.split_last() {
        // Names of variants are tracked as part of the table that has them.
        _ if value.is_some_and(|value| is_key_of(value.get_ref())) => path,
        Some((Segment::Map { key }, table)) if key == name && !is_variant => table,
        _ => return None,
    };
    Some((table, name, names.collect()))
}

/// A path as the file could spell it.
fn spelt(path: &[&Segment]) -> String {
    let mut spelt = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => spelt += &format!("[{index}]"),
            Segment::Map { key: name } | Segment::Enum { variant: name } => {
                let dot = if spelt.is_empty() { "" } else { "." };
                spelt += &format!("{dot}{name}");
            }
            Segment::Unknown => {}
        }
    }
    spelt
}

/// The error for a key that is unknown in the table at `path`.
fn no_such_key(path: &str, name: &str, allowed: &[&str]) -> String {
    let place = match path {
        "" => String::new(),
        path => format!(" in {path}"),
    };
    let near = nearest(name, allowed.iter().map(|known| (*known, *known)));
    match near[..] {
        [] => format!(
            "there is no key {name}{place}; it may be {}",
            allowed.join(", ")
        ),
        _ => format!(
            "there is no key {name}{place}; did you mean {}?",
            near.join(" or ")
        ),
    }
}

/// The value at a path.
fn find<'a, 'i>(
    root: &'a Spanned<DeValue<'i>>,
    path: &[&Segment],
) -> Option<&'a Spanned<DeValue<'i>>> {
    path.iter().try_fold(root, |value, segment| match segment {
        Segment::Seq { index } => value.get_ref().get(*index),
        Segment::Map { key: name } | Segment::Enum { variant: name } => value.get_ref().get(name),
        Segment::Unknown => None,
    })
}

/// The key of a table with its place in the file.
fn key<'a, 'i>(value: &'a DeValue<'i>, name: &str) -> Option<&'a Spanned<DeString<'i>>> {
    let mut keys = value.as_table()?.keys();
    keys.find(|key| key.get_ref() == name)
}

/// A value as the file has it; `None` for what takes several lines or is long.
fn shown(text: &str, value: &Spanned<DeValue>) -> Option<String> {
    const MAX: usize = 60;
    match value.get_ref() {
        DeValue::Array(_) => Some("a list".into()),
        DeValue::Table(_) => Some("a table".into()),
        _ => text
            .get(value.span())
            .filter(|shown| shown.len() <= MAX && !shown.contains('\n'))
            .map(str::to_owned),
    }
}

/// Checks the keys of presets, which serde does not: journals have the same settings, and may come from other versions.
fn check_presets(text: &str, root: &Spanned<DeValue>, config: &Config) -> Result<(), Fault> {
    let presets = root.get_ref().get("presets");
    for (name, preset) in &config.presets {
        let raw = presets.and_then(|presets| presets.get_ref().get(name));
        if let Some(raw) = raw {
            check_preset(text, raw, &format!("presets.{name}"), preset)?;
        }
    }
    Ok(())
}

fn check_preset(
    text: &str,
    raw: &Spanned<DeValue>,
    path: &str,
    preset: &Preset,
) -> Result<(), Fault> {
    // What is written back has every key that was understood.
    match toml::Table::try_from(preset) {
        Ok(known) => check_keys(text, raw, path, &known),
        Err(_) => Ok(()),
    }
}

/// Fails at the first key of `raw` that `known` does not have.
fn check_keys(
    text: &str,
    raw: &Spanned<DeValue>,
    path: &str,
    known: &toml::Table,
) -> Result<(), Fault> {
    let Some(table) = raw.get_ref().as_table() else {
        return Ok(());
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match known.get(name) {
            Some(toml::Value::Table(known)) => {
                check_keys(text, value, &format!("{path}.{name}"), known)?;
            }
            Some(_) => {}
            None => {
                let allowed: Vec<&str> = known.keys().map(String::as_str).collect();
                let message = no_such_key(path, name, &allowed);
                return Err(Fault::at(text, Some(key.span()), message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> (usize, String) {
        let fault = parse(text).expect_err(text);
        (fault.line.expect(text), fault.message)
    }

    #[test]
    fn faults_name_key_and_line_and_what_is_allowed() {
        for (text, line, told) in [
            ("mouse = true\n\nmouse = ]\n", 3, "not valid TOML: "),
            ("mouse = 1", 1, "mouse is 1; it must be true or false"),
            ("\ntheme = \"pink\"", 2, "theme is \"pink\"; it may be "),
            (
                "model_folders = [\"a\", 5]",
                1,
                "model_folders[1] is 5; it must be a string",
            ),
            (
                "mose = true",
                1,
                "there is no key mose; did you mean mouse?",
            ),
            (
                "# mine\ncolour = 1",
                2,
                "there is no key colour; it may be theme, ascii, ",
            ),
            (
                "[presets.x]\nsytem = \"a\"",
                2,
                "there is no key sytem in presets.x; did you mean system?",
            ),
            (
                "[presets.x.settings]\nexit_layer = 3\nexit_leyer = 3",
                3,
                "there is no key exit_leyer in presets.x.settings; did you mean exit_layer?",
            ),
            (
                "[presets.x.settings.sampling]\nheat = 3",
                2,
                "there is no key heat in presets.x.settings.sampling; it may be ",
            ),
            (
                "[presets.\"my own\"]\nsettings.sampling.temperature = \"hot\"",
                2,
                "presets.my own.settings.sampling.temperature is \"hot\"; it must be a number",
            ),
            (
                "[presets.x.settings]\nexit_layer = -3",
                2,
                "presets.x.settings.exit_layer is -3; it must be a whole number of at least 0",
            ),
            (
                "[presets.x.settings]\ncontroller = \"sometimes\"",
                2,
                "presets.x.settings.controller is \"sometimes\"; it may be fixed, ",
            ),
            (
                "[presets.x.settings]\ncontroller = { confidence = { treshold = 0.4, threshold = 1.0 } }",
                2,
                "there is no key treshold in presets.x.settings.controller.confidence; did you mean threshold?",
            ),
            ("presets = 5", 1, "presets is 5; it must be a table"),
            (
                "[keys.chta]\nz = \"regenerate\"",
                1,
                "there is no key chta in keys; did you mean chat?",
            ),
            (
                "[keys.chat]\n\nz = \"regnerate\"",
                3,
                "keys.z: there is no action `regnerate`; did you mean regenerate?",
            ),
        ] {
            let (at, message) = fault(text);
            assert!(message.starts_with(told), "{text}: {message}");
            assert_eq!(at, line, "{text}: {message}");
            for word in ["f32", "usize", "struct", "variant", "invalid type", "\n"] {
                assert!(!message.contains(word), "{text}: {message}");
            }
        }
    }

    proptest! {
        /// Any text after a key gives a setting or a one-line error.
        #[test]
        fn any_value_is_taken_or_explained(
            key in prop::sample::select(vec![
                "theme", "presets", "presets.x", "presets.x.settings", "presets.x.settings.controller", "keys",
                "keys.chat", "keys.chat.z", "model_folders", "overflow",
            ]),
            value in "(-?[0-9]{1,3}|\"[a-z`,]{0,9}\"|\\[[0-9]?\\]|\\{ ?([a-z]{1,3} = [0-9])? ?\\}|true|[a-z{\\[]{0,4})",
        ) {
            if let Err(fault) = parse(&format!("{key} = {value}")) {
                prop_assert!(!fault.message.is_empty() && !fault.message.contains('\n'));
            }
        }
    }
}
