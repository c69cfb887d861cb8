//! Everything that can be set while skiplens runs. [`TABLE`] describes each control.

mod control;
mod range;
mod table;

pub use control::Control;
pub use range::{Kind, Range, Scale};
use table::{Spec, TABLE};

use crate::engine::decode::Settings;
use crate::engine::loaded_model::ModelInfo;
use crate::names::nearest;

impl Control {
    pub const ALL: [Self; TABLE.len()] = {
        let mut all = [Self::ExitLayer; TABLE.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = TABLE[at].control;
            at += 1;
        }
        all
    };

    fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// Name on screen.
    pub fn label(self) -> &'static str {
        self.spec().label
    }

    /// Name in `/set` and in marks.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The command-line option that sets it.
    pub fn flag(self) -> Option<&'static str> {
        self.spec().flag
    }

    /// What it does, in one sentence.
    pub fn meaning(self) -> &'static str {
        self.spec().meaning
    }

    /// Kind and range, which depend on the model.
    pub fn kind(self, model: Option<&ModelInfo>) -> Kind {
        (self.spec().kind)(model)
    }

    /// The value as a number: a toggle is 0 or 1, a choice its index.
    pub fn get(self, settings: &Settings) -> f64 {
        (self.spec().get)(settings)
    }

    /// Sets the value as [`Self::get`] returns it. The value must be within the range.
    pub fn set(self, settings: &mut Settings, value: f64) {
        (self.spec().set)(settings, value);
    }

    /// Whether its value has an effect given the other settings.
    pub fn has_effect(self, settings: &Settings) -> bool {
        (self.spec().has_effect)(settings)
    }

    /// The value that a model recommends or, if it recommends none, the program's; `None` for controls that models do
    /// not recommend.
    pub fn default_of(self, model: &ModelInfo) -> Option<f64> {
        let (advised, own) = (model.defaults, Settings::default());
        let value = match self {
            Self::ExitLayer => advised
                .exit_layer
                .unwrap_or((model.config.num_layers / 4).max(1)),
            Self::Speculations => advised.num_speculations.unwrap_or(own.num_speculations),
            Self::DraftVocab => advised.draft_vocab.unwrap_or(own.draft_vocab),
            _ => return None,
        };
        Some(value as f64)
    }

    /// Whether `/set` and the command line take -1 for the model's default.
    pub fn takes_model_default(self) -> bool {
        matches!(self, Self::ExitLayer | Self::Speculations)
    }

    /// Other controls that have a choice with exactly this name, if this one has none.
    pub fn others_with_choice(self, value: &str) -> Vec<Self> {
        let has = |control: &Self| match control.kind(None) {
            Kind::Choice(names) => names
                .iter()
                .any(|name| words(name).concat() == words(value).concat()),
            _ => false,
        };
        match has(&self) {
            true => Vec::new(),
            false => Self::ALL.into_iter().filter(has).collect(),
        }
    }

    /// The controls that apply to a model.
    pub fn of_model(model: Option<&ModelInfo>) -> Vec<Self> {
        let has_adapters = model.is_some_and(|model| !model.adapters.is_empty());
        let of_use = |control: &Self| *control != Self::Adapter || has_adapters;
        Self::ALL.into_iter().filter(of_use).collect()
    }

    /// The value as the screen shows it.
    pub fn show(self, settings: &Settings, model: Option<&ModelInfo>) -> String {
        let value = self.get(settings);
        if let (Self::Adapter, true, Some(model)) = (self, settings.adapter, model) {
            let exit = settings.exit_layer;
            return match model.adapter_of(exit) {
                _ if model.adapters.is_empty() => "none".into(),
                Some(own) if own == exit => "on".into(),
                Some(used) => format!("that of E {used}"),
                None => format!("none at E {exit}"),
            };
        }
        match self.kind(model) {
            Kind::Slider(range) | Kind::Number(range) => format!("{value:.*}", range.decimals),
            Kind::Toggle => if value != 0.0 { "on" } else { "off" }.into(),
            Kind::Choice(names) => names
                .get(value as usize)
                .copied()
                .unwrap_or_default()
                .into(),
            Kind::Text => String::new(),
        }
    }

    /// The control with this name, or the only one with words that begin with those of `name`. Ignores case; `-`, `_`
    /// and spaces are alike.
    ///
    /// # Errors
    ///
    /// With the controls that the name could stand for, if there is not exactly one.
    pub fn named(name: &str) -> Result<Self, Vec<Self>> {
        let wanted = words(name);
        let joined = wanted.concat();
        if joined.is_empty() {
            return Err(Vec::new());
        }
        let any = |control: &Self, fits: &dyn Fn(&[String]) -> bool| {
            control.names().any(|name| fits(&words(name)))
        };
        let exact = |control: &Self| any(control, &|name| name.concat() == joined);
        if let Some(control) = Self::ALL.into_iter().find(exact) {
            return Ok(control);
        }
        let begins = |name: &[String]| {
            let by_word = name.windows(wanted.len()).any(|part| {
                let mut pairs = part.iter().zip(&wanted);
                pairs.all(|(word, begun)| word.starts_with(begun.as_str()))
            });
            let mut ends = (0..name.len()).map(|from| name[from..].concat());
            by_word || ends.any(|end| end.starts_with(&joined))
        };
        let near: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|control| any(control, &begins))
            .collect();
        match near[..] {
            [control] => Ok(control),
            _ => Err(near),
        }
    }

    /// Splits `NAME VALUE`. The name may have several words: as many as make up the name of a control.
    ///
    /// # Errors
    ///
    /// With the name as far as it can be told, and the controls that it could stand for.
    pub fn split(text: &str) -> Result<(Self, &str), (&str, Vec<Self>)> {
        let text = text.trim_start();
        let spaces = text.match_indices(char::is_whitespace).map(|(at, _)| at);
        let mut ends: Vec<usize> = spaces.chain([text.len()]).take(MAX_WORDS).collect();
        ends.reverse();
        let mut unclear = None;
        for end in ends {
            match Self::named(&text[..end]) {
                Ok(control) => return Ok((control, text[end..].trim_start())),
                Err(near) if near.is_empty() => {}
                Err(near) => {
                    unclear.get_or_insert((text[..end].trim_end(), near));
                }
            }
        }
        let first = text.split_whitespace().next().unwrap_or_default();
        Err(unclear.unwrap_or((first, Vec::new())))
    }

    /// Names that resemble `name`, the nearest first.
    pub fn resembling(name: &str) -> Vec<&'static str> {
        let names: Vec<(String, &str)> = Self::ALL
            .into_iter()
            .flat_map(|control| control.names().map(move |name| (name, control.name())))
            // A word alone stands for the name as well.
            .flat_map(|(name, meant)| {
                let words = words(name).into_iter().chain([name.to_owned()]);
                words.map(move |word| (word, meant))
            })
            .collect();
        nearest(
            name,
            names.iter().map(|(word, meant)| (word.as_str(), *meant)),
        )
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        let aliases = self.spec().aliases.iter().copied();
        [self.name(), self.label()].into_iter().chain(aliases)
    }
}

/// Max words of a name with its parts written apart.
const MAX_WORDS: usize = 4;

/// The words of a name in lower case.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| c.is_whitespace() || matches!(c, '-' | '_'));
    parts
        .filter(|part| !part.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests;
