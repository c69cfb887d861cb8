//! Edits the text of a settings file in place: only the changed value is rewritten; comments and order stay.

use super::{ConfigChange, Preset};
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

impl ConfigChange {
    /// The text of the settings file with this change made.
    ///
    /// # Errors
    /// If the text is not TOML, or has another value in place of a table.
    pub fn edit(&self, text: &str) -> Result<String, String> {
        let windows = text.contains("\r\n");
        let text = text.replace("\r\n", "\n");
        let edited = match self {
            Self::Theme(theme) => set(&text, "theme", theme.label().into()),
            Self::Mouse(mouse) => set(&text, "mouse", (*mouse).into()),
            Self::ShowRejected(shown) => set(&text, "show_rejected", (*shown).into()),
            Self::KeepPreset(name, preset) => keep(&text, name, preset),
            Self::ForgetPreset(name) => forget(&text, name),
        }?;
        Ok(match windows {
            true => edited.replace('\n', "\r\n"),
            false => edited,
        })
    }
}

fn parse(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|error| format!("{error}"))
}

/// Sets a value outside of all tables.
fn set(text: &str, key: &str, value: Value) -> Result<String, String> {
    let mut document = parse(text)?;
    let table = document.as_table_mut();
    if table.contains_key(key) || begins_with_a_value(text) {
        put(table, key, Item::Value(value));
        return Ok(document.to_string());
    }
    // `toml_edit` would put the first value above the comments at the head of the file.
    let line = format!("{key} = {value}\n");
    let at = head(text);
    let (before, after) = text.split_at(at);
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let below = if after.is_empty() { "" } else { "\n" };
    Ok(format!("{before}{gap}{line}{below}{after}"))
}

/// The lines of a text and where each begins, without blank lines and comments.
fn first_of_substance(text: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|line| {
            at += line.len();
            (at - line.len(), line.trim_start_matches('\u{feff}').trim())
        })
        .find(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn begins_with_a_value(text: &str) -> bool {
    first_of_substance(text).is_some_and(|(_, line)| !line.starts_with('['))
}

/// The end of the comments at the head of the file, without those of the first table.
fn head(text: &str) -> usize {
    match first_of_substance(text) {
        None => text.len(),
        Some((first, _)) => text[..first].rfind("\n\n").map_or(0, |at| at + 2),
    }
}

fn keep(text: &str, name: &str, preset: &Preset) -> Result<String, String> {
    let mut document = parse(text)?;
    let written = toml::to_string(preset).map_err(|error| format!("preset {name}: {error}"))?;
    let mut fresh = std::mem::take(parse(&written)?.as_table_mut());
    unplace(&mut fresh);
    fresh
        .decor_mut()
        .set_prefix(if text.trim().is_empty() { "" } else { "\n" });
    let presets = document.entry("presets").or_insert_with(|| {
        let mut presets = Table::new();
        presets.set_implicit(true);
        Item::Table(presets)
    });
    let presets = presets
        .as_table_like_mut()
        .ok_or("`presets` is not a table")?;
    put(presets, name, Item::Table(fresh));
    Ok(document.to_string())
}

fn forget(text: &str, name: &str) -> Result<String, String> {
    let mut document = parse(text)?;
    let presets = document
        .get_mut("presets")
        .and_then(Item::as_table_like_mut);
    presets.and_then(|presets| presets.remove(name));
    Ok(document.to_string())
}

/// Sets the item at `key` to `new`. An item that already has this value keeps its spelling.
fn put(table: &mut dyn TableLike, key: &str, new: Item) {
    let Some(old) = table.get_mut(key) else {
        table.insert(key, new);
        return;
    };
    match (old, new) {
        (Item::Value(old), Item::Value(mut new)) if !old.is_inline_table() => {
            if !means_the_same(old, &new) {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
        }
        (old, new) if old.is_table_like() && new.is_table_like() => {
            if let (Some(old), Some(new)) = (old.as_table_like_mut(), new.as_table_like()) {
                merge(old, new);
            }
        }
        (_, new) => {
            // Removed first, since it moves: values come before tables.
            table.remove(key);
            table.insert(key, new);
        }
    }
}

fn merge(old: &mut dyn TableLike, new: &dyn TableLike) {
    let gone: Vec<String> = old
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !new.contains_key(key))
        .collect();
    for key in gone {
        old.remove(&key);
    }
    for (key, item) in new.iter() {
        put(old, key, item.clone());
    }
}

/// Whether two values mean the same, however they are written.
fn means_the_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.value() == b.value(),
        (Value::Integer(a), Value::Integer(b)) => a.value() == b.value(),
        (Value::Float(a), Value::Float(b)) => a.value() == b.value(),
        (Value::Float(a), Value::Integer(b)) | (Value::Integer(b), Value::Float(a)) => {
            *a.value() == *b.value() as f64
        }
        (Value::Boolean(a), Value::Boolean(b)) => a.value() == b.value(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| means_the_same(a, b))
        }
        _ => false,
    }
}

/// Clears the positions of tables in the text they were parsed from, so that they are written one after the other.
fn unplace(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        if let Item::Table(table) = item {
            unplace(table);
        }
    }
}

#[cfg(test)]
mod tests;
