//! From the command line to the playground.

use super::{files, run};
use crate::app::{Control, Look, ModelChoice, Options};
use crate::cli::args::DecodingArgs;
use crate::engine::weights::ModelDefaults;
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

/// What the picker offers: the bundled model and the one that was asked for.
fn models(request: &ModelRequest) -> Vec<ModelChoice> {
    let bundled = ModelChoice { model: None, label: "bundled model".into(), note: "comes with skiplens".into() };
    let asked = request.model.iter().map(|name| ModelChoice {
        model: Some(name.clone()),
        label: name.clone(),
        note: "from the command line".into(),
    });
    std::iter::once(bundled).chain(asked).collect()
}
