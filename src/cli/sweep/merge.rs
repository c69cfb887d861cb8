//! Merges the cells of a sweep into tables and pictures.

use super::MergeArgs;
use crate::cli::failure::FOUND_FAULT;
use crate::cli::output;
use crate::engine::Error;
use crate::eval::output_folder;
use crate::eval::sweep::{self, HeatMap, RunFolder};
use crate::files;
use crate::plural::counted;
use color_eyre::eyre::Result;
use std::path::Path;
use std::process::ExitCode;

/// Runs `sweep merge`.
pub fn run(args: &MergeArgs) -> Result<ExitCode> {
    finish(&RunFolder::read(&args.folder)?, args.json)
}

/// Merges the folder, writes the result and shows it. The status is 1 if cells are missing or texts differ.
pub fn finish(folder: &RunFolder, json: bool) -> Result<ExitCode> {
    let merged = sweep::merge(folder)?;
    write(&folder.path.join("sweep.csv"), &sweep::csv(&merged.rows))?;
    output_folder::write(&folder.path.join("sweep.json"), &merged)?;
    let maps = HeatMap::all(&merged, &folder.manifest.model.name);
    for (nth, map) in maps.iter().enumerate() {
        let name = match nth {
            0 => "sweep.svg".to_owned(),
            n => format!("sweep-{}.svg", n + 1),
        };
        write(&folder.path.join(name), &map.svg())?;
    }
    if json {
        output::stdout().json(&merged)?;
    } else {
        output::stdout().styled(&output::heat_maps(&maps, output::ColorChoice::Auto.paint()))?;
        output::stdout().message(&output::sweep_table(&merged)?)?;
        output::stdout().message(&format!("\nwritten to {}\n", folder.path.display()))?;
    }
    merged.notes.iter().for_each(|note| output::note(note));
    for fault in &merged.faults {
        output::error(fault);
    }
    if !merged.missing.is_empty() {
        let verb = if merged.missing.len() == 1 {
            "is"
        } else {
            "are"
        };
        output::error(&format!(
            "{} of {} {verb} missing: {}",
            merged.missing.len(),
            counted(folder.manifest.cells().len(), "cell"),
            merged.missing.join(", ")
        ));
        return Ok(ExitCode::from(FOUND_FAULT));
    }
    folder.finish()?;
    Ok(match merged.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FOUND_FAULT),
    })
}

/// Writes the table of the cells measured so far.
pub fn write_csv(folder: &RunFolder) -> Result<()> {
    let merged = sweep::merge(folder)?;
    write(&folder.path.join("sweep.csv"), &sweep::csv(&merged.rows))
}

fn write(path: &Path, text: &str) -> Result<()> {
    files::replace(path, text.as_bytes()).map_err(|error| Error::io(path, error))?;
    Ok(())
}
