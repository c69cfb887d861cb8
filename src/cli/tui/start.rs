//! From the command line to the playground.

use super::{files, run};
use crate::app::{Control, Look, ModelChoice, Options};
use crate::cli::args::DecodingArgs;
use crate::engine::weights::{KNOWN_MODELS, ModelDefaults, PUBLISHED_BYTES, PUBLISHED_MODEL, cached_models};
use crate::engine::worker::{self, ModelRequest};
use color_eyre::Result;
use color_eyre::eyre::bail;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Layers of the bundled model: until a model is loaded, the range of the exit layer.
const LAYERS: usize = 30;

/// Open the playground.
///
/// # Errors
/// When there is no terminal, or the settings file cannot be understood.
pub fn start(request: ModelRequest, decoding: &DecodingArgs, resume: Option<String>) -> Result<ExitCode> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("the playground needs a terminal; for plain output there is `skiplens generate`");
    }
    let options = Options {
        models: models(&request),
        request,
        settings: decoding.settings(ModelDefaults::default(), LAYERS),
        touched: touched(decoding),
        config: files::load_config()?,
        look: Look::from_env(|name| std::env::var(name).ok()),
        ..Options::default()
    };
    let worker = worker::spawn()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(worker.commands, worker.events, options, resume))?;
    Ok(ExitCode::SUCCESS)
}

/// Controls that the command line sets; a model's recommendations leave them alone.
fn touched(decoding: &DecodingArgs) -> BTreeSet<Control> {
    let given = [
        (Control::ExitLayer, decoding.exit_layer.is_some()),
        (Control::Speculations, decoding.num_speculations.is_some()),
        (Control::DraftVocab, decoding.draft_vocab.is_some()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(control, _)| control).collect()
}

/// What the picker offers: the bundled model, the one that was asked for, those in the hub's cache, and LayerSkip's own.
fn models(request: &ModelRequest) -> Vec<ModelChoice> {
    let choice = |name: &str, note: String| ModelChoice { model: Some(name.to_owned()), label: name.to_owned(), note };
    let bundled = ModelChoice { model: None, label: "bundled model".into(), note: "comes with skiplens".into() };
    let cached = cached_models();
    let asked = request.model.iter().map(|name| choice(name, "from the command line".into()));
    let here = cached.iter().map(|model| choice(&model.id, format!("downloaded · {}", gigabytes(model.bytes))));
    let known = KNOWN_MODELS.iter().filter(|known| cached.iter().all(|model| model.id != known.id)).map(|known| {
        let gated = if known.gated { " · access on request" } else { "" };
        choice(known.id, format!("{} layers · {}{gated}", known.layers, gigabytes(known.bytes)))
    });
    let untuned = format!("{} · not tuned: few accepted", gigabytes(PUBLISHED_BYTES));
    let listed = cached.iter().map(|model| &model.id).chain(&request.model).any(|name| name == PUBLISHED_MODEL);
    let published = (!listed).then(|| choice(PUBLISHED_MODEL, untuned));
    std::iter::once(bundled).chain(asked).chain(here).chain(published).chain(known).collect()
}

/// About what a model takes in memory.
fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
