//! A model ready to decode, with all that belongs to it.

use super::decode::Decoder;
use super::model::Llama;
use super::text::{ChatTemplate, Tokenizer};
use super::weights::{self, Checkpoint, Dtype};
use super::worker::{ModelInfo, ModelRequest, Prompt};
use super::{Error, Result};
use candle_core::Device;

/// What loading reports: the stage at hand and how far it is, 0 to 1 where that is known.
pub type Progress<'a> = &'a mut dyn FnMut(&str, Option<f32>);

/// A loaded model: decoder, chat template and what there is to say of it.
pub struct Instance {
    pub decoder: Decoder,
    pub info: ModelInfo,
    template: Option<ChatTemplate>,
}

impl Instance {
    /// Finds, downloads where need be, opens and loads the model of `request`.
    pub fn load(request: &ModelRequest, progress: Progress<'_>) -> Result<Self> {
        let dtype = request
            .dtype
            .as_deref()
            .unwrap_or("auto")
            .parse::<Dtype>()?;
        let device = device(request.device.as_deref().unwrap_or("auto"))?;
        let path = weights::locate(request.model.as_deref(), progress)?;
        progress("opening", None);
        let checkpoint = weights::open(&path, dtype)?;
        Self::from_checkpoint(&checkpoint, &device, request.threads, progress)
    }

    /// Loads the weights of an opened checkpoint.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        device: &Device,
        threads: Option<usize>,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let template = ChatTemplate::from_checkpoint(checkpoint)?;
        let mut fraction = |part: f32| progress("loading weights", Some(part));
        let model = Llama::load(checkpoint, device, threads, &mut fraction)?;
        let info = ModelInfo {
            name: checkpoint.name.clone(),
            path: checkpoint.path.clone(),
            config: model.config.clone(),
            dtype: model.dtype_name(),
            device: model.device_name(),
            weight_bytes: model.weight_bytes(),
            has_chat_template: template.is_some(),
            defaults: checkpoint.defaults,
        };
        let decoder = Decoder::new(model, Some(tokenizer), checkpoint.end_tokens.clone());
        Ok(Self {
            decoder,
            info,
            template,
        })
    }

    /// Token ids of a prompt; a conversation goes through the model's chat template.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        let tokenizer = self
            .decoder
            .tokenizer()
            .ok_or_else(|| Error::Tokenizer("this model has none".into()))?;
        match (prompt, &self.template) {
            (Prompt::Text(text), _) => tokenizer.encode_with_bos(text),
            (Prompt::Chat(messages), Some(template)) => tokenizer.encode_chat(template, messages),
            (Prompt::Chat(_), None) => Err(Error::Template(
                "this model has none; use it for plain completion instead of chat".into(),
            )),
        }
    }
}

/// The device of that name; `auto` takes a GPU where this build and this machine have one.
pub fn device(name: &str) -> Result<Device> {
    let missing = |what: &str, error: candle_core::Error| {
        Error::Setting(format!(
            "no {what} device can be used here ({error}); choose --device cpu, or build with --features {what}"
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
