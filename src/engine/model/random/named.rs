//! Models with the shapes of published ones and random weights, to measure speed without their files.

use super::blocks::fill;
use super::shape::{NAMES, shape};
use super::{byte_vocabulary, shapes};
use crate::engine::config::LlamaConfig;
use crate::engine::kernels::physical_cores;
use crate::engine::model::{Model, Readout, Row, Sequence};
use crate::engine::splitmix::{SplitMix64, mix};
use crate::engine::weights::{Checkpoint, ModelDefaults, RawTensor, TensorSource};
use crate::engine::{Error, Result};
use candle_core::quantized::GgmlDType;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;

/// Prefix of the name of such a model: `random:llama3-8b`, or `random:llama3-8b:0.7` with an agreement.
pub const PREFIX: &str = "random:";
/// Bytes that a thread fills with one generator, so that tensors do not depend on the number of threads.
const SPAN_BLOCKS: usize = 1 << 12;
/// Number of tokens over which agreement is measured.
const SAMPLE: usize = 96;

/// A requested model.
#[derive(Debug, Clone, PartialEq)]
pub struct RandomModel {
    /// Name of the shape.
    pub name: String,
    /// Share of tokens on which the exit should agree with the last layer.
    pub agree: Option<f32>,
}

impl FromStr for RandomModel {
    type Err = Error;

    /// Parses a name with its [`PREFIX`].
    fn from_str(text: &str) -> Result<Self> {
        let rest = text.strip_prefix(PREFIX).unwrap_or(text);
        let (name, agree) = match rest.split_once(':') {
            None => (rest, None),
            Some((name, share)) => (name, Some(share)),
        };
        if shape(name).is_none() {
            return Err(Error::Setting(format!(
                "there is no shape {name:?} for random weights; choose one of {}",
                NAMES.join(", ")
            )));
        }
        let parse = |share: &str| {
            share
                .parse::<f32>()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or_else(|| {
                    Error::Setting(format!("the agreement is {share:?}; it may be 0 to 1"))
                })
        };
        Ok(Self {
            name: name.to_owned(),
            agree: agree.map(parse).transpose()?,
        })
    }
}

impl RandomModel {
    /// The model's shape.
    pub fn config(&self) -> LlamaConfig {
        shape(&self.name).unwrap_or_else(super::small)
    }

    /// The exit layer of the agreement, a quarter of the layers.
    pub fn exit_layer(&self) -> usize {
        (self.config().num_layers / 4).max(1)
    }

    /// A checkpoint whose tensors are generated on load. Contributions to the residual stream by the layers from the
    /// exit on are multiplied by `scale`.
    ///
    /// # Errors
    /// If rows do not divide into blocks of `dtype`.
    pub fn checkpoint(&self, dtype: GgmlDType, scale: f32) -> Result<Checkpoint> {
        let config = self.config();
        let rows = [
            config.hidden_size,
            config.intermediate_size,
            config.num_heads * config.head_dim,
        ];
        let block = dtype.block_size();
        if let Some(cols) = rows.into_iter().find(|cols| !cols.is_multiple_of(block)) {
            return Err(Error::Setting(format!(
                "rows of {cols} columns do not divide into blocks of {block}; choose another --dtype"
            )));
        }
        let shapes = shapes(&config)
            .into_iter()
            .map(|(name, shape, spread)| (name, (shape, spread)))
            .collect();
        Ok(Checkpoint {
            name: match self.agree {
                None => format!("{} with random weights", self.name),
                Some(share) => format!("{} with random weights, agreement {share}", self.name),
            },
            path: PathBuf::new(),
            text: byte_vocabulary(config.vocab_size),
            end_tokens: vec![2],
            tensors: Box::new(Generated {
                shapes,
                dtype,
                exit_layer: self.exit_layer(),
                scale,
            }),
            defaults: ModelDefaults {
                exit_layer: Some(self.exit_layer()),
                ..ModelDefaults::default()
            },
            config,
            exits: None,
        })
    }
}

/// Finds the scale of the upper layers at which the exit and the last layer agree on about the fraction `agree` of
/// tokens, by bisection. `load` loads a model with a scale.
///
/// # Errors
/// If a model cannot be loaded or run.
pub fn find_scale(
    agree: f32,
    exit_layer: usize,
    mut load: impl FnMut(f32) -> Result<Box<dyn Model>>,
) -> Result<f32> {
    const TOLERANCE: f32 = 0.05;
    const STEPS: usize = 7;
    // Agreement falls as the scale grows.
    let (mut low, mut high) = (-12f32, 0f32);
    let mut scale = 0.0;
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        scale = middle.exp2();
        let measured = agreement(&*load(scale)?, exit_layer)?;
        tracing::info!(scale, measured, "agreement of random weights");
        if (measured - agree).abs() < TOLERANCE {
            break;
        }
        match measured > agree {
            true => low = middle,
            false => high = middle,
        }
    }
    Ok(scale)
}

/// The fraction of random tokens after which the exit and the last layer predict the same token.
///
/// # Errors
/// If the model cannot be run.
pub fn agreement(model: &dyn Model, exit_layer: usize) -> Result<f32> {
    const CHUNK: usize = 32;
    let (vocab, layers) = (model.config().vocab_size, model.config().num_layers);
    let mut random = SplitMix64(5);
    let mut sequence = model.sequence(SAMPLE)?;
    let mut same = 0;
    let choices = |depth, slots: &[usize], sequence: &mut dyn Sequence| {
        let readout = Readout {
            slots,
            depth,
            vocab: 0,
            probed: false,
        };
        let mut logits = Vec::new();
        sequence.logits(&readout, &mut logits)?;
        let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
        Ok::<_, Error>(logits.chunks_exact(vocab).map(best).collect::<Vec<_>>())
    };
    for start in (0..SAMPLE).step_by(CHUNK) {
        let tokens: Vec<u32> = (0..CHUNK)
            .map(|_| (random.next_u64() % vocab as u64) as u32)
            .collect();
        let mut rows: Vec<Row> = Row::chain(&tokens, start).collect();
        let slots: Vec<usize> = rows.iter().map(|row| row.slot).collect();
        sequence.forward(&rows, exit_layer)?;
        let early = choices(exit_layer, &slots, &mut *sequence)?;
        rows.iter_mut().for_each(|row| row.depth = exit_layer);
        sequence.forward(&rows, layers)?;
        let last = choices(layers, &slots, &mut *sequence)?;
        same += early.iter().zip(&last).filter(|(a, b)| a == b).count();
        sequence.truncate(start + CHUNK);
    }
    Ok(same as f32 / SAMPLE as f32)
}

/// Tensors generated on demand, each seeded by its name.
struct Generated {
    shapes: HashMap<String, (Vec<usize>, f32)>,
    dtype: GgmlDType,
    exit_layer: usize,
    scale: f32,
}

impl Generated {
    /// Factor of a tensor that adds to the residual stream at or above the exit layer.
    fn factor(&self, name: &str) -> f32 {
        let mut parts = name.split('.');
        let layer = match (parts.next(), parts.next()) {
            (Some("blk"), Some(layer)) => layer.parse().unwrap_or(0),
            _ => 0,
        };
        let adds = matches!(parts.next(), Some("attn_output" | "ffn_down"));
        match adds && layer >= self.exit_layer {
            true => self.scale,
            false => 1.0,
        }
    }
}

impl TensorSource for Generated {
    fn tensor(&self, name: &str) -> Result<Option<RawTensor<'_>>> {
        let Some((shape, spread)) = self.shapes.get(name) else {
            return Ok(None);
        };
        let seed = name
            .bytes()
            .fold(1, |seed, byte| mix(seed ^ u64::from(byte)));
        let n: usize = shape.iter().product();
        if shape.len() == 1 {
            let mut random = SplitMix64(seed);
            let number = |_| 0.8 + 0.4 * ((random.next_u64() >> 40) as f32 / (1 << 24) as f32);
            let data: Vec<u8> = (0..n).map(number).flat_map(f32::to_le_bytes).collect();
            return Ok(Some(RawTensor {
                shape: shape.clone(),
                dtype: GgmlDType::F32,
                data: Cow::Owned(data),
            }));
        }
        // `spread` is the range of uniform numbers, as in `checkpoint`.
        let deviation = spread / (3.0 * shape[1] as f32).sqrt() * self.factor(name);
        let bytes = n / self.dtype.block_size() * self.dtype.type_size();
        let mut data = crate::engine::memory::zeros::<u8>(bytes, "a matrix")?;
        let span = SPAN_BLOCKS * self.dtype.type_size();
        let spans: Vec<_> = data.chunks_mut(span).enumerate().collect();
        let threads = physical_cores().max(1);
        let share = spans.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let mut spans = spans.into_iter();
            loop {
                let mine: Vec<_> = spans.by_ref().take(share).collect();
                if mine.is_empty() {
                    break;
                }
                scope.spawn(move || {
                    for (i, span) in mine {
                        let mut random = SplitMix64(mix(seed.wrapping_add(i as u64)));
                        fill(self.dtype, &mut random, deviation, span);
                    }
                });
            }
        });
        Ok(Some(RawTensor {
            shape: shape.clone(),
            dtype: self.dtype,
            data: Cow::Owned(data),
        }))
    }

    fn shape(&self, name: &str) -> Result<Option<Vec<usize>>> {
        Ok(self.shapes.get(name).map(|(shape, _)| shape.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Target, load};

    #[test]
    fn names_are_parsed_with_their_agreement() {
        let parse = |text: &str| text.parse::<RandomModel>();
        let plain = parse("random:llama3-8b").unwrap();
        assert_eq!((plain.name.as_str(), plain.agree), ("llama3-8b", None));
        assert_eq!(parse("random:llama2-7b:0.7").unwrap().agree, Some(0.7));
        assert!(
            parse("random:llama9")
                .unwrap_err()
                .to_string()
                .contains("llama2-70b")
        );
        assert!(parse("random:llama2-7b:2").is_err());
    }

    /// Numbers of weights that the models' authors publish, in billions.
    #[test]
    fn shapes_have_the_published_number_of_weights() {
        for (name, billions) in NAMES
            .into_iter()
            .zip([6.74, 13.0, 69.0, 6.74, 33.7, 8.03, 1.24, 0.1345])
        {
            let config = shape(name).unwrap();
            config.check().unwrap();
            let weights = config.matrix_weights() as f64 / 1e9;
            assert!((weights / billions - 1.0).abs() < 0.01, "{name}: {weights}");
        }
    }

    #[test]
    fn the_scale_of_the_upper_layers_sets_the_agreement() {
        let config = super::super::small();
        let shapes = |config: &LlamaConfig| {
            let all = super::super::shapes(config).into_iter();
            all.map(|(name, shape, spread)| (name, (shape, spread)))
                .collect()
        };
        let load = |scale| {
            let mut checkpoint = super::super::checkpoint(&config, GgmlDType::Q8_0, 1)?;
            checkpoint.tensors = Box::new(Generated {
                shapes: shapes(&config),
                dtype: GgmlDType::Q8_0,
                exit_layer: 1,
                scale,
            });
            load(&checkpoint, Target::Cpu, Some(1), &mut |_| ())
        };
        assert_eq!(agreement(&*load(0.0).unwrap(), 1).unwrap(), 1.0);
        let scale = find_scale(0.6, 1, load).unwrap();
        let got = agreement(&*load(scale).unwrap(), 1).unwrap();
        assert!((got - 0.6).abs() < 0.15, "{got} at {scale}");
    }
}
