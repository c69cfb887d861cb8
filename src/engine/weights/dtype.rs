//! What `--dtype` can ask for.

use crate::engine::Error;
use candle_core::quantized::GgmlDType;
use std::str::FromStr;

/// What the matrices of safetensors become at load. A GGUF keeps the types it was made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtype {
    /// As the file holds them.
    #[default]
    Auto,
    Typed(GgmlDType),
}

/// The names and what they mean.
const NAMES: [(&str, GgmlDType); 11] = [
    ("f32", GgmlDType::F32),
    ("f16", GgmlDType::F16),
    ("bf16", GgmlDType::BF16),
    ("q8_0", GgmlDType::Q8_0),
    ("q4_0", GgmlDType::Q4_0),
    ("q4_1", GgmlDType::Q4_1),
    ("q5_0", GgmlDType::Q5_0),
    ("q5_1", GgmlDType::Q5_1),
    ("q4_k", GgmlDType::Q4K),
    ("q5_k", GgmlDType::Q5K),
    ("q6_k", GgmlDType::Q6K),
];

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let name = name.trim().to_ascii_lowercase();
        if name == "auto" {
            return Ok(Self::Auto);
        }
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, dtype)| Self::Typed(*dtype))
            .ok_or_else(|| {
                let known: Vec<_> = NAMES.iter().map(|(known, _)| *known).collect();
                Error::Setting(format!(
                    "unknown dtype {name:?}; choose auto, {}",
                    known.join(", ")
                ))
            })
    }
}
