//! The settings file.

mod edit;

use super::appearance::ThemeName;
use super::input::Overrides;
use crate::engine::decode::Settings;
use crate::transcript::Detail;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is kept between sessions, in TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub theme: ThemeName,
    /// Draw with ASCII only, whatever the locale says.
    pub ascii: bool,
    /// Whether to capture the mouse; off leaves it to the terminal.
    pub mouse: bool,
    /// Show rejected drafts struck through in place.
    pub show_rejected: bool,
    /// Accepted from older files and ignored: the Markdown view starts switched off.
    #[serde(skip_serializing)]
    pub markdown: bool,
    /// How much detail of each token goes into the journal: `off`, `candidates` or `layers`.
    pub journal_detail: Detail,
    /// What happens when a conversation no longer fits in the context.
    pub overflow: Overflow,
    /// Folders that the model picker searches, besides the current one.
    pub model_folders: Vec<String>,
    /// Settings saved by name.
    pub presets: BTreeMap<String, Preset>,
    /// Bindings that take precedence over the built-in ones.
    pub keys: Overrides,
}

/// What happens when a conversation no longer fits in the context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The model no longer sees the oldest turns.
    #[default]
    DropOldest,
    /// The user is asked.
    Ask,
}

/// Settings under a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preset {
    pub system: String,
    pub settings: Settings,
}

/// A change of the settings made in the program.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigChange {
    Theme(ThemeName),
    Mouse(bool),
    ShowRejected(bool),
    KeepPreset(String, Preset),
    ForgetPreset(String),
}

impl Config {
    /// Applies a change; [`ConfigChange::edit`] does the same to the file.
    pub fn apply(&mut self, change: ConfigChange) {
        match change {
            ConfigChange::Theme(theme) => self.theme = theme,
            ConfigChange::Mouse(mouse) => self.mouse = mouse,
            ConfigChange::ShowRejected(shown) => self.show_rejected = shown,
            ConfigChange::KeepPreset(name, preset) => drop(self.presets.insert(name, preset)),
            ConfigChange::ForgetPreset(name) => drop(self.presets.remove(&name)),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            theme: ThemeName::default(),
            ascii: false,
            mouse: true,
            show_rejected: false,
            markdown: false,
            journal_detail: Detail::Layers,
            overflow: Overflow::default(),
            model_folders: Vec::new(),
            presets: BTreeMap::new(),
            keys: Overrides::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_file() {
        let mut config = Config {
            theme: ThemeName::Light,
            ..Config::default()
        };
        config.presets.insert(
            "calm".into(),
            Preset {
                system: "Be\nbrief.".into(),
                ..Preset::default()
            },
        );
        let text = toml::to_string(&config).expect("serialisable");
        assert_eq!(toml::from_str::<Config>(&text).expect("readable"), config);
        assert_eq!(
            toml::from_str::<Config>("").expect("empty is fine"),
            Config::default()
        );
        assert!(toml::from_str::<Config>("colour = 1").is_err());
    }
}
