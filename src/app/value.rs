//! The values of the controls in the settings.

use super::control::Control;
use super::range::Kind;
use crate::engine::decode::{Controller, Settings, Strategy};
use crate::engine::loaded_model::ModelInfo;
use crate::engine::sampling::Coupling;

impl Control {
    /// The value as a number: a toggle is 0 or 1, a choice its index.
    pub fn get(self, s: &Settings) -> f64 {
        match self {
            Self::Strategy => s.strategy as usize as f64,
            Self::ExitLayer => s.exit_layer as f64,
            Self::Speculations => s.num_speculations as f64,
            Self::Sampling => f64::from(u8::from(s.sampling.sample)),
            Self::Temperature => tidy(s.sampling.temperature),
            Self::TopP => tidy(s.sampling.top_p),
            Self::TopK => s.sampling.top_k as f64,
            Self::MinP => tidy(s.sampling.min_p),
            Self::RepetitionPenalty => tidy(s.sampling.repetition_penalty),
            Self::NoRepeatNgram => s.sampling.no_repeat_ngram as f64,
            Self::MaxTokens => s.max_steps as f64,
            Self::Seed => s.sampling.seed as f64,
            Self::Coupling => s.sampling.coupling as usize as f64,
            Self::DraftVocab => s.draft_vocab as f64,
            Self::KvqReuse => f64::from(u8::from(s.kvq_reuse)),
            Self::Autopilot => controller_index(s.controller) as f64,
            Self::Confidence => threshold(s.controller),
            Self::SystemPrompt => 0.0,
        }
    }

    /// Set the value as [`Self::get`] gives it. The value must be within the range.
    pub fn set(self, s: &mut Settings, value: f64) {
        match self {
            Self::Strategy => s.strategy = STRATEGIES[(value as usize).min(2)],
            Self::ExitLayer => s.exit_layer = value as usize,
            Self::Speculations => s.num_speculations = value as usize,
            Self::Sampling => s.sampling.sample = value != 0.0,
            Self::Temperature => s.sampling.temperature = value as f32,
            Self::TopP => s.sampling.top_p = value as f32,
            Self::TopK => s.sampling.top_k = value as usize,
            Self::MinP => s.sampling.min_p = value as f32,
            Self::RepetitionPenalty => s.sampling.repetition_penalty = value as f32,
            Self::NoRepeatNgram => s.sampling.no_repeat_ngram = value as usize,
            Self::MaxTokens => s.max_steps = value as usize,
            Self::Seed => s.sampling.seed = value as u64,
            Self::Coupling => s.sampling.coupling = COUPLINGS[(value as usize).min(1)],
            Self::DraftVocab => s.draft_vocab = value as usize,
            Self::KvqReuse => s.kvq_reuse = value != 0.0,
            Self::Autopilot => s.controller = controller(value as usize, threshold(s.controller)),
            Self::Confidence => {
                if let Controller::Confidence { threshold } = &mut s.controller {
                    *threshold = value as f32;
                }
            }
            Self::SystemPrompt => {}
        }
    }

    /// The value as it is written on screen.
    pub fn show(self, s: &Settings, model: Option<&ModelInfo>) -> String {
        let value = self.get(s);
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
}

const STRATEGIES: [Strategy; 3] = [
    Strategy::Autoregressive,
    Strategy::EarlyExit,
    Strategy::SelfSpeculative,
];
const COUPLINGS: [Coupling; 2] = [Coupling::SharedNoise, Coupling::Rejection];

/// The threshold a confidence stop begins with.
const THRESHOLD: f64 = 0.5;

fn controller_index(controller: Controller) -> usize {
    match controller {
        Controller::Fixed => 0,
        Controller::Confidence { .. } => 1,
        Controller::AdaptiveSpeculations => 2,
        Controller::ExitAndSpeculations => 3,
    }
}

fn controller(index: usize, threshold: f64) -> Controller {
    match index {
        1 => Controller::Confidence {
            threshold: threshold as f32,
        },
        2 => Controller::AdaptiveSpeculations,
        3 => Controller::ExitAndSpeculations,
        _ => Controller::Fixed,
    }
}

fn threshold(controller: Controller) -> f64 {
    match controller {
        Controller::Confidence { threshold } => tidy(threshold),
        _ => THRESHOLD,
    }
}

/// An `f32` as the decimal it was written as, not as its nearest neighbour in `f64`.
fn tidy(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_sets_what_it_gets() {
        for control in Control::ALL {
            let mut settings = Settings {
                controller: Controller::Confidence { threshold: 0.5 },
                ..Settings::default()
            };
            let kind = control.kind(None);
            for value in [0.0, 0.05, 1.0, 2.0, 7.0] {
                let value = kind.snap(value);
                control.set(&mut settings, value);
                assert_eq!(control.get(&settings), value, "{control:?}");
            }
        }
    }
}
