//! Plans a sweep: the manifest and its folder.

use super::PlanArgs;
use crate::cli::benchmark::{Prepared, prepare};
use crate::cli::output;
use crate::engine::Error;
use crate::engine::decode::{Settings, Strategy};
use crate::engine::loaded_model::LoadedModel;
use crate::eval::identity::{ModelIdentity, VERSION};
use crate::eval::sweep::{Manifest, RunFolder};
use crate::plural::counted;
use color_eyre::eyre::Result;
use std::process::ExitCode;

/// Writes the manifest and prints its path.
pub fn run(args: &PlanArgs) -> Result<ExitCode> {
    let (folder, _) = plan(args)?;
    let cells = folder.manifest.cells().len();
    output::stdout().message(&format!("{}\n", folder.path.display()))?;
    output::note(&format!(
        "{} on {}; measure them with skiplens sweep run {} [--shard I/N]",
        counted(cells, "cell"),
        counted(folder.manifest.examples.len(), "prompt"),
        folder.path.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// The folder of the requested sweep, and the model.
pub fn plan(args: &PlanArgs) -> Result<(RunFolder, LoadedModel)> {
    if let Some(strategy) = args.decoding.strategy()
        && strategy != Strategy::SelfSpeculative
    {
        return Err(Error::Setting(
            "a sweep measures self-speculative decoding against autoregressive decoding; omit --strategy".into(),
        )
        .into());
    }
    for (given, option) in [
        (args.decoding.exit_layer().is_some(), "--exit-layer"),
        (
            args.decoding.num_speculations().is_some(),
            "--num-speculations",
        ),
    ] {
        if given {
            output::note(&format!(
                "{option} has no effect: the grid has {option}-first and {option}-last"
            ));
        }
    }
    let Prepared {
        loaded,
        mut settings,
        encoded,
        dataset,
        ..
    } = prepare(&args.model, &args.decoding, &args.dataset)?;
    let layers = loaded.info.config.num_layers;
    let axes = args.grid.axes(&settings, layers)?;
    for &draft_vocab in &axes.draft_vocabs {
        let wanted = Settings {
            draft_vocab,
            ..Settings::default()
        };
        if let Some(reason) = wanted.exceeds_vocabulary(&loaded.info.config) {
            output::note(&format!("--draft-vocabs {draft_vocab} {reason}"));
        }
    }
    // Settings that vary by cell are not part of the run's identity.
    (
        settings.exit_layer,
        settings.num_speculations,
        settings.draft_vocab,
    ) = (1, 1, 0);
    let manifest = Manifest {
        version: VERSION.into(),
        model: ModelIdentity::of(&loaded.info)?,
        dataset,
        settings,
        axes,
        examples: encoded
            .prompts
            .into_iter()
            .map(|(example, _)| example)
            .collect(),
    };
    let folder = RunFolder::open(&args.dataset.output_dir(), manifest)?;
    Ok((folder, loaded))
}
