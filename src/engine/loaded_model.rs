//! A model that is ready to decode.

use super::config::LlamaConfig;
use super::decode::Decoder;
use super::estimates_file;
use super::model::random::{self, RandomModel};
use super::model::{self, DeviceRequest, Target};
use super::progress::Progress;
use super::prompt::Prompt;
use super::text::{ChatTemplate, Tokenizer};
use super::turns::Turns;
use super::weights::{self, Checkpoint, Dtype, ModelDefaults};
use super::{Error, Result};
use candle_core::quantized::GgmlDType;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Which model to load, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelRequest {
    /// A path, a Hugging Face id, or `random:` and the name of a shape; `None` for the bundled model.
    pub model: Option<String>,
    /// `auto`, or the type to convert safetensors to.
    pub dtype: Option<String>,
    /// `auto`, `cpu`, `gpu`, `gpu:N`, `cuda` or `metal`.
    pub device: Option<String>,
    /// Threads of the CPU kernels; `None` for one per physical core.
    pub threads: Option<usize>,
    /// A folder to write random weights to before they are loaded.
    #[serde(default)]
    pub save: Option<PathBuf>,
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
    /// `cpu×2`, `gpu:0 NVIDIA H100`, `cuda`, `metal`.
    pub device: String,
    /// Why it runs on that device, if the program chose it.
    #[serde(default)]
    pub device_reason: Option<String>,
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
    /// The file of its exit adapters and draft order, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits_path: Option<PathBuf>,
    /// Exit layers that have an adapter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapters: Vec<usize>,
    /// Exit layers that draft with the adapter of another one, and that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borrowed_adapters: Vec<(usize, usize)>,
    /// Why the model's adapters are not used, if it has any that this device cannot run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapters_fault: Option<String>,
}

impl ModelInfo {
    /// The exit whose adapter drafts at `exit`, if any.
    pub fn adapter_of(&self, exit: usize) -> Option<usize> {
        if self.adapters.contains(&exit) {
            return Some(exit);
        }
        let mut borrowed = self.borrowed_adapters.iter();
        borrowed.find(|(at, _)| *at == exit).map(|(_, used)| *used)
    }

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
    /// The turns of the threads that decode on its device.
    turns: Arc<Turns>,
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
        let device = request
            .device
            .as_deref()
            .unwrap_or("auto")
            .parse::<DeviceRequest>()?;
        if let Some(name) = &request.model
            && name.starts_with(random::PREFIX)
        {
            return Self::random(request, &name.parse()?, dtype, device, progress);
        }
        let path = weights::locate(request.model.as_deref(), progress)?;
        progress("opening", None);
        let checkpoint = weights::open(&path, dtype)?;
        progress("opening the device", None);
        let (target, reason) = Target::open(device, || checkpoint.weight_bytes(dtype))?;
        let mut loaded = Self::from_checkpoint(&checkpoint, target, request.threads, progress)?;
        loaded.info.device_reason = reason;
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

    /// Makes a model with random weights.
    fn random(
        request: &ModelRequest,
        model: &RandomModel,
        dtype: Dtype,
        device: DeviceRequest,
        progress: &mut Progress,
    ) -> Result<Self> {
        let threads = request.threads;
        let dtype = match dtype {
            Dtype::Auto => GgmlDType::F16,
            Dtype::Typed(dtype) => dtype,
        };
        let checkpoint = model.checkpoint(dtype, 1.0)?;
        let bytes = checkpoint.weight_bytes(Dtype::Typed(dtype));
        progress("opening the device", None);
        let (target, reason) = Target::open(device, || bytes)?;
        target.check_memory(
            bytes,
            &format!("{} in {}", model.name, weights::type_name(dtype)),
        )?;
        let scale = match model.agree {
            None => 1.0,
            Some(agree) => random::find_scale(agree, model.exit_layer(), |scale| {
                let mut fraction = |part: f32| progress("adjusting the agreement", Some(part));
                let checkpoint = model.checkpoint(dtype, scale)?;
                model::load(&checkpoint, target.clone(), threads, &mut fraction)
            })?,
        };
        let checkpoint = model.checkpoint(dtype, scale)?;
        if let Some(folder) = &request.save {
            progress("saving", None);
            random::save(&checkpoint, dtype, folder)?;
        }
        let mut model = Self::from_checkpoint(&checkpoint, target, threads, progress)?;
        model.info.device_reason = reason;
        Ok(model)
    }

    /// Loads the weights of an opened checkpoint.
    ///
    /// # Errors
    /// If the model cannot be run, or memory cannot be allocated.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        target: impl Into<Target>,
        threads: Option<usize>,
        progress: &mut Progress,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_checkpoint(checkpoint)?;
        let template = ChatTemplate::from_checkpoint(checkpoint);
        let fault = template.as_ref().and_then(ChatTemplate::fault);
        let mut fraction = |part: f32| progress("loading weights", Some(part));
        let model = model::load(checkpoint, target, threads, &mut fraction)?;
        let (exits, own) = (checkpoint.exits.as_ref(), checkpoint.defaults);
        let adapted = model.adapted_exits();
        let unused = exits.is_some_and(|exits| !exits.layers.is_empty()) && adapted.is_empty();
        let adapters_fault = unused.then(|| {
            format!(
                "the exit adapters of this model are not used: {} does not run them",
                model.device_name()
            )
        });
        let info = ModelInfo {
            name: checkpoint.name.clone(),
            path: checkpoint.path.clone(),
            config: model.config().clone(),
            dtype: model.dtype_name(),
            device: model.device_name(),
            device_reason: None,
            weight_bytes: model.weight_bytes(),
            has_chat_template: template.is_some() && fault.is_none(),
            chat_template_fault: fault.map(str::to_owned),
            defaults: exits.map_or(own, |exits| exits.defaults(own, adapted, model.config())),
            exits_path: exits.and_then(|exits| exits.path.clone()),
            adapters: adapted.to_vec(),
            borrowed_adapters: (1..model.config().num_layers)
                .filter_map(|exit| Some((exit, model.adapter_of(exit)?)))
                .filter(|(exit, used)| exit != used)
                .collect(),
            adapters_fault,
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
        let recommended = |defaults: ModelDefaults| {
            let speculations = defaults.num_speculations.unwrap_or(2);
            Some((defaults.exit_layer?, speculations))
        };
        let trained = ModelInfo {
            defaults: own,
            ..info.clone()
        };
        decoder.set_exits(trained.has_trained_exits(), recommended(own));
        decoder.set_adapted_exits(recommended(info.defaults));
        Ok(Self {
            decoder,
            info,
            encoder,
            estimates: None,
            turns: Arc::default(),
        })
    }

    /// The same model for another thread: the weights are shared, and the threads take turns. Only the original keeps
    /// its estimates for the next start.
    pub fn share(&self) -> Self {
        Self {
            decoder: self.decoder.share(),
            info: self.info.clone(),
            encoder: self.encoder.clone(),
            estimates: None,
            turns: self.turns.clone(),
        }
    }

    /// The turns of the threads that decode on its device.
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Takes turns with the threads of other models.
    pub fn set_turns(&mut self, turns: Arc<Turns>) {
        self.turns = turns;
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
