//! Which controls matter under the present settings.

use super::control::Control;
use crate::engine::decode::{Controller, Settings, Strategy};

impl Control {
    /// Whether its value changes anything as things are set.
    pub fn has_effect(self, s: &Settings) -> bool {
        let sampled = s.sampling.sample && s.sampling.temperature > 0.0;
        let drafted = s.strategy == Strategy::SelfSpeculative;
        match self {
            Self::ExitLayer => s.strategy != Strategy::Autoregressive,
            Self::Speculations | Self::DraftVocab | Self::KvqReuse | Self::Autopilot => drafted,
            Self::Confidence => drafted && matches!(s.controller, Controller::Confidence { .. }),
            Self::Temperature => s.sampling.sample,
            Self::TopP | Self::TopK | Self::MinP | Self::Seed => sampled,
            Self::Coupling => drafted && sampled,
            Self::Strategy | Self::Sampling | Self::RepetitionPenalty | Self::NoRepeatNgram => true,
            Self::MaxTokens | Self::SystemPrompt => true,
        }
    }
}
