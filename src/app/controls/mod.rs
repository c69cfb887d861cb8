//! Everything that can be set while skiplens runs. [`TABLE`] describes each control.

mod control;
mod range;
mod table;

pub use control::Control;
pub use range::{Kind, Range};
use table::{Spec, TABLE};

use crate::engine::decode::Settings;
use crate::engine::loaded_model::ModelInfo;

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

    /// The control with this name, or the only one with a word that starts with it. Ignores case, `-` and `_`.
    ///
    /// # Errors
    ///
    /// With the controls that the name could stand for, if there is not exactly one.
    pub fn named(name: &str) -> Result<Self, Vec<Self>> {
        let plain = |name: &str| name.to_lowercase().replace(['-', ' '], "_");
        let wanted = plain(name);
        let any = |control: &Self, fits: &dyn Fn(&str) -> bool| {
            let names = [control.name(), control.label()];
            names
                .iter()
                .chain(control.spec().aliases)
                .any(|name| fits(&plain(name)))
        };
        let exact = |control: &Self| any(control, &|name| name == wanted);
        if let Some(control) = Self::ALL.into_iter().find(exact) {
            return Ok(control);
        }
        let begins = |name: &str| {
            let words = name.match_indices('_').map(|(at, _)| at + 1);
            std::iter::once(0)
                .chain(words)
                .any(|at| name[at..].starts_with(&wanted))
        };
        let near: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|control| !wanted.is_empty() && any(control, &begins))
            .collect();
        if let [control] = near[..] {
            Ok(control)
        } else {
            Err(near)
        }
    }
}

#[cfg(test)]
mod tests;
