//! The models that skiplens knows by name: Meta's, trained with the LayerSkip recipe.

/// A model that can be named without its organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModel {
    /// Id on the Hugging Face hub.
    pub id: &'static str,
    /// The layer count L.
    pub layers: usize,
    /// Whether the hub requires a request for access.
    pub gated: bool,
    /// Approximate size of its 16-bit weights in bytes.
    pub bytes: u64,
}

impl KnownModel {
    /// The id without the organisation.
    pub fn short_name(&self) -> &'static str {
        self.id.rsplit('/').next().unwrap_or(self.id)
    }
}

/// The published model that the bundled one was fine-tuned from. It is suggested if the bundled one is missing,
/// although it was not tuned for early exit.
pub const PUBLISHED_MODEL: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";
/// Approximate size of its download in bytes.
pub const PUBLISHED_BYTES: u64 = 270_000_000;

/// The models of the LayerSkip paper and its successors, smallest first.
pub const KNOWN_MODELS: [KnownModel; 7] = [
    layerskip("facebook/layerskip-llama3.2-1B", 16, 2_500_000_000),
    layerskip("facebook/layerskip-llama2-7B", 32, 13_500_000_000),
    layerskip("facebook/layerskip-codellama-7B", 32, 13_500_000_000),
    layerskip("facebook/layerskip-llama3-8B", 32, 16_100_000_000),
    layerskip("facebook/layerskip-llama2-13B", 40, 26_000_000_000),
    layerskip("facebook/layerskip-codellama-34B", 48, 67_500_000_000),
    layerskip("facebook/layerskip-llama2-70B", 80, 138_000_000_000),
];

const fn layerskip(id: &'static str, layers: usize, bytes: u64) -> KnownModel {
    KnownModel {
        id,
        layers,
        gated: true,
        bytes,
    }
}

/// The known model with this id or short name, ignoring case.
pub fn known_model(name: &str) -> Option<&'static KnownModel> {
    KNOWN_MODELS
        .iter()
        .find(|m| m.id.eq_ignore_ascii_case(name) || m.short_name().eq_ignore_ascii_case(name))
}
