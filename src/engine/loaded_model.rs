//! A model that is ready to decode.

use super::config::LlamaConfig;
use super::decode::Decoder;
use super::estimates_file;
use super::model;
use super::progress::Progress;
use super::prompt::Prompt;
use super::text::{ChatTemplate, Tokenizer};
use super::weights::{self, Checkpoint, Dtype, ModelDefaults};
use super::{Error, Result};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Which model to load, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// A path or a Hugging Face id; `None` for the bundled model.
    pub model: Option<String>,
    /// `auto`, or the type to convert safetensors to.
    pub dtype: Option<String>,
    /// `auto`, `cpu`, `cuda` or `metal`.
    pub device: Option<String>,
    /// Threads of the CPU kernels; `None` for one per physical core.
    pub threads: Option<usize>,
}

/// A description of a loaded model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Display name.
    pub name: String,
    /// The file or folder it came from.
    pub path: PathBuf,
    /// Shape of the model.
    pub config: LlamaConfig,
    /// Most frequent type of the weights: `q8_0`, `f16`, …
    pub dtype: String,
    /// `cpu×2`, `cuda`, `metal`.
    pub device: String,
    /// Bytes that the weights take in memory.
    pub weight_bytes: u64,
    /// Whether it has a usable chat template.
    pub has_chat_template: bool,
    /// Why its chat template cannot be used, if it has one that is unusable.
    #[serde(default)]
    pub chat_template_fault: Option<String>,
    /// Settings that its author recommends.
    #[serde(default)]
    pub defaults: ModelDefaults,
}

impl ModelInfo {
    /// Whether its exits are known to be trained: its file recommends an exit layer, or its name says that it is one of
    /// LayerSkip's.
    pub fn has_trained_exits(&self) -> bool {
        let path = self.path.to_string_lossy();
        let names = [self.name.as_str(), &path].into_iter();
        self.defaults.exit_layer.is_some()
            || names
                .map(str::to_lowercase)
                .any(|name| name.contains("layerskip"))
    }
}

/// A loaded model with its decoder and chat template.
pub struct LoadedModel {
    /// The decoder.
    pub decoder: Decoder,
    /// Its description.
    pub info: ModelInfo,
    encoder: PromptEncoder,
    /// Where estimates of its speed are kept.
    estimates: Option<PathBuf>,
}

/// Tokenizes prompts without the decoder. Clones share the tables.
#[derive(Clone)]
pub struct PromptEncoder {
    /// The model's tokenizer.
    pub tokenizer: Option<Tokenizer>,
    /// The model's chat template, if it has one.
    pub template: Option<Arc<ChatTemplate>>,
}

impl PromptEncoder {
    /// Token ids of a prompt; a conversation goes through the model's chat template.
    ///
    /// # Errors
    /// If the model has no tokenizer or no template, or they reject the prompt.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let tokenizer = self.tokenizer()?;
        match (prompt, &self.template) {
            (Prompt::Tokens(ids), _) => Ok(ids.clone()),
            (Prompt::Text(text), _) => tokenizer.encode_with_bos(text),
            (Prompt::Chat(messages), Some(template)) => tokenizer.encode_chat(template, messages),
            (Prompt::Chat(_), None) => Err(Error::Template(
                "this model has none; use it for plain completion instead of chat".into(),
            )),
        }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// If the model has none.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        let none = || Error::Tokenizer("this model has none".into());
        self.tokenizer.as_ref().ok_or_else(none)
    }
}

impl LoadedModel {
    /// Finds, opens and loads the model of `request`, downloading it if necessary.
    ///
    /// # Errors
    /// If the model cannot be found, downloaded or run, a device is not available, or memory cannot be allocated.
    pub fn load(request: &ModelRequest, progress: &mut Progress) -> Result<Self> {
        let _span = tracing::info_span!("load", model = request.model).entered();
        let dtype = request
            .dtype
            .as_deref()
            .unwrap_or("auto")
            .parse::<Dtype>()?;
        let device = device(request.device.as_deref().unwrap_or("auto"))?;
        let path = weights::locate(request.model.as_deref(), progress)?;
        progress("opening", None);
        let checkpoint = weights::open(&path, dtype)?;
        let mut loaded = Self::from_checkpoint(&checkpoint, &device, request.threads, progress)?;
        loaded.estimates = estimates_file::path(&loaded.info, loaded.decoder.model().simd());
        if let Some(path) = &loaded.estimates {
            estimates_file::read(path, &mut loaded.decoder);
        }
        Ok(loaded)
    }

    /// Keeps what was learned about the speed of this model on this machine, for the next start.
    pub fn keep_estimates(&self) {
        if let Some(path) = &self.estimates {
            estimates_file::write(path, &self.decoder);
        }
    }

    /// Loads the weights of an opened checkpoint.
    ///
    /// # Errors
    /// If the model cannot be run, or memory cannot be allocated.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        device: &Device,
        threads: Option<usize>,
        progress: &mut Progress,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let template = ChatTemplate::from_checkpoint(checkpoint);
        let fault = template.as_ref().and_then(ChatTemplate::fault);
        let mut fraction = |part: f32| progress("loading weights", Some(part));
        let model = model::load(checkpoint, device, threads, &mut fraction)?;
        let info = ModelInfo {
            name: checkpoint.name.clone(),
            path: checkpoint.path.clone(),
            config: model.config().clone(),
            dtype: model.dtype_name(),
            device: model.device_name(),
            weight_bytes: model.weight_bytes(),
            has_chat_template: template.is_some() && fault.is_none(),
            chat_template_fault: fault.map(str::to_owned),
            defaults: checkpoint.defaults,
        };
        tracing::info!(
            name = info.name,
            layers = info.config.num_layers,
            dtype = info.dtype,
            device = info.device,
            bytes = info.weight_bytes,
            "loaded"
        );
        let encoder = PromptEncoder {
            tokenizer: Some(tokenizer.clone()),
            template: template.map(Arc::new),
        };
        let mut decoder = Decoder::new(model, Some(tokenizer), checkpoint.end_tokens.clone());
        let defaults = info.defaults;
        let recommended = defaults
            .exit_layer
            .map(|exit_layer| (exit_layer, defaults.num_speculations.unwrap_or(2)));
        decoder.set_exits(info.has_trained_exits(), recommended);
        Ok(Self {
            decoder,
            info,
            encoder,
            estimates: None,
        })
    }

    /// Token ids of a prompt; a conversation goes through the model's chat template.
    ///
    /// # Errors
    /// If the chat template fails or is missing, or the prompt is empty or too long.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.encoder.encode(prompt)
    }

    /// A tokenizer of prompts for other threads.
    pub fn encoder(&self) -> PromptEncoder {
        self.encoder.clone()
    }
}

/// The device of that name; `auto` is a GPU if this build and this machine have one.
///
/// # Errors
/// If there is no such device.
pub fn device(name: &str) -> Result<Device> {
    let missing = |what: &str, error: candle_core::Error| {
        Error::Setting(format!(
            "no {what} device is available ({error}); choose --device cpu, or build with --features {what}"
        ))
    };
    match name {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Device::new_cuda(0).map_err(|error| missing("cuda", error)),
        "metal" => Device::new_metal(0).map_err(|error| missing("metal", error)),
        "auto" => Ok(Device::new_cuda(0)
            .or_else(|_| Device::new_metal(0))
            .unwrap_or(Device::Cpu)),
        other => Err(Error::Setting(format!(
            "unknown device {other:?}; choose auto, cpu, cuda or metal"
        ))),
    }
}
