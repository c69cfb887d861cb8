//! Weight types: their names, their numbers in GGUF, and which of them skiplens supports.

use crate::engine::{Error, kernels};
use candle_core::quantized::GgmlDType;
use std::str::FromStr;

/// All types of candle, with their ggml numbers and names.
const TYPES: [(u32, &str, GgmlDType); 15] = [
    (0, "F32", GgmlDType::F32),
    (1, "F16", GgmlDType::F16),
    (30, "BF16", GgmlDType::BF16),
    (8, "Q8_0", GgmlDType::Q8_0),
    (2, "Q4_0", GgmlDType::Q4_0),
    (3, "Q4_1", GgmlDType::Q4_1),
    (6, "Q5_0", GgmlDType::Q5_0),
    (7, "Q5_1", GgmlDType::Q5_1),
    (12, "Q4_K", GgmlDType::Q4K),
    (13, "Q5_K", GgmlDType::Q5K),
    (14, "Q6_K", GgmlDType::Q6K),
    (9, "Q8_1", GgmlDType::Q8_1),
    (10, "Q2_K", GgmlDType::Q2K),
    (11, "Q3_K", GgmlDType::Q3K),
    (15, "Q8_K", GgmlDType::Q8K),
];

/// The types that skiplens supports.
fn supported() -> impl Iterator<Item = (u32, &'static str, GgmlDType)> {
    TYPES
        .into_iter()
        .filter(|(_, _, dtype)| kernels::supports(*dtype))
}

/// Name of a type as in ggml: `Q4_K`.
pub fn type_name(dtype: GgmlDType) -> &'static str {
    let found = TYPES.iter().find(|(_, _, known)| *known == dtype);
    found.map_or("unknown", |(_, name, _)| name)
}

/// Names of all supported types: `F32, F16, …`.
pub fn type_names() -> String {
    let names: Vec<_> = supported().map(|(_, name, _)| name).collect();
    names.join(", ")
}

/// The type with this ggml number.
///
/// # Errors
///
/// If skiplens does not support the type; the message names it.
pub fn type_of(number: u32) -> Result<GgmlDType, String> {
    if let Some((_, _, dtype)) = supported().find(|(known, _, _)| *known == number) {
        return Ok(dtype);
    }
    let held = TYPES.iter().find(|(known, _, _)| *known == number);
    let name = match number {
        _ if held.is_some() => held.map_or("", |(_, name, _)| name),
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24..=27 => "of integers",
        28 => "F64",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => {
            return Err(format!(
                "of the unknown type {number}; skiplens reads {}",
                type_names()
            ));
        }
    };
    Err(format!(
        "{name}, which skiplens does not read; it reads {}",
        type_names()
    ))
}

/// The type that safetensors matrices are converted to when they are loaded. GGUF weights keep their types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtype {
    /// The type in the file.
    #[default]
    Auto,
    /// This type.
    Typed(GgmlDType),
}

impl Dtype {
    /// The names that [`from_str`](Self::from_str) accepts: `auto, f32, …`.
    pub fn names() -> String {
        format!("auto, {}", type_names().to_lowercase())
    }
}

impl FromStr for Dtype {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto);
        }
        supported()
            .find(|(_, known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, _, dtype)| Self::Typed(dtype))
            .ok_or_else(|| {
                Error::Setting(format!(
                    "unknown dtype {name:?}; choose one of {}",
                    Self::names()
                ))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_type_has_a_name_and_a_number() {
        assert_eq!(
            Dtype::names(),
            "auto, f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k"
        );
        for (number, name, dtype) in supported() {
            assert_eq!(type_of(number), Ok(dtype));
            assert_eq!(type_name(dtype), name);
            for name in [name.to_lowercase(), format!(" {name} ")] {
                assert_eq!(name.parse::<Dtype>().unwrap(), Dtype::Typed(dtype));
            }
        }
        assert!("q2_k".parse::<Dtype>().is_err());
        assert!(type_of(10).unwrap_err().starts_with("Q2_K, which"));
        assert!(type_of(28).unwrap_err().starts_with("F64, which"));
        assert!(type_of(4).unwrap_err().contains("unknown type 4"));
    }
}
