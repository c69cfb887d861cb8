//! One key and its spelling.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::fmt;
use std::str::FromStr;

/// A key with its modifiers, written like `ctrl-c`, `alt-left` or `f1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

impl Key {
    /// The event of pressing it.
    pub fn event(self) -> KeyEvent {
        KeyEvent::new(self.code, self.modifiers)
    }

    /// The character that it types, unless a modifier makes it a command.
    pub fn character(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c)
                if !self
                    .modifiers
                    .intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) =>
            {
                Some(c)
            }
            _ => None,
        }
    }
}

impl From<KeyEvent> for Key {
    /// Drops the shift of capital letters, which only some terminals report; the letter's case is enough.
    fn from(key: KeyEvent) -> Self {
        let modifiers =
            key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        match key.code {
            KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => Self {
                code: KeyCode::Char(c.to_ascii_lowercase()),
                modifiers: modifiers - KeyModifiers::SHIFT,
            },
            KeyCode::Char(_) | KeyCode::BackTab => Self {
                code: key.code,
                modifiers: modifiers - KeyModifiers::SHIFT,
            },
            code => Self { code, modifiers },
        }
    }
}

/// Names of keys other than characters and function keys.
const NAMED: [(&str, KeyCode); 15] = [
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backtab", KeyCode::BackTab),
    ("enter", KeyCode::Enter),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut rest, mut modifiers) = (text, KeyModifiers::NONE);
        loop {
            let (prefix, modifier) = match rest {
                r if r.starts_with("ctrl-") => ("ctrl-", KeyModifiers::CONTROL),
                r if r.starts_with("alt-") => ("alt-", KeyModifiers::ALT),
                r if r.starts_with("shift-") => ("shift-", KeyModifiers::SHIFT),
                _ => break,
            };
            rest = &rest[prefix.len()..];
            modifiers |= modifier;
        }
        let named = NAMED
            .iter()
            .find(|(name, _)| *name == rest)
            .map(|(_, code)| *code);
        let function = || rest.strip_prefix('f')?.parse().ok().map(KeyCode::F);
        let mut chars = rest.chars();
        let character = match (chars.next(), chars.next()) {
            (Some(c), None) => Some(KeyCode::Char(c)),
            _ => None,
        };
        match named.or(character).or_else(function) {
            Some(code) => Ok(KeyEvent::new(code, modifiers).into()),
            None => Err(format!(
                "`{text}` is not a key; write it like `ctrl-x`, `alt-left`, `f1` or `?`"
            )),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has = |modifier| self.modifiers.contains(modifier);
        let prefixes = [
            (KeyModifiers::CONTROL, "ctrl-"),
            (KeyModifiers::ALT, "alt-"),
            (KeyModifiers::SHIFT, "shift-"),
        ];
        prefixes
            .iter()
            .filter(|(modifier, _)| has(*modifier))
            .try_for_each(|(_, name)| f.write_str(name))?;
        match (NAMED.iter().find(|(_, code)| *code == self.code), self.code) {
            (_, KeyCode::Left) => f.write_str("←"),
            (_, KeyCode::Right) => f.write_str("→"),
            (_, KeyCode::Up) => f.write_str("↑"),
            (_, KeyCode::Down) => f.write_str("↓"),
            (Some((name, _)), _) => f.write_str(name),
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, KeyCode::F(n)) => write!(f, "f{n}"),
            (None, code) => write!(f, "{code:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_is_written() {
        for name in [
            "ctrl-c",
            "alt-left",
            "f12",
            "shift-end",
            "space",
            "?",
            "G",
            "alt-,",
            "backtab",
            "ctrl-alt-x",
        ] {
            let key: Key = name.parse().expect(name);
            assert_eq!(Key::from(key.event()), key, "{name}");
            if !name.contains("left") {
                assert_eq!(key.to_string(), name);
            }
        }
    }

    #[test]
    fn the_shift_of_a_letter_is_in_the_letter() {
        let event = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(Key::from(event).to_string(), "G");
        let event = KeyEvent::new(
            KeyCode::Char('X'),
            KeyModifiers::CONTROL | KeyModifiers::SHIFT,
        );
        assert_eq!(Key::from(event).to_string(), "ctrl-x");
    }

    #[test]
    fn what_is_no_key_is_named() {
        for name in ["", "hyper-p", "ctrl-", "fx", "f999", "abc"] {
            assert!(
                name.parse::<Key>()
                    .unwrap_err()
                    .contains(&format!("`{name}`"))
            );
        }
    }
}
