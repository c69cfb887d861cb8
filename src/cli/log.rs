//! `--log FILE`: a log of the engine with times, for bug reports. Prompts and answers are not logged.

use color_eyre::eyre::{Result, WrapErr};
use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Mutex;
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

/// Starts appending spans and events to a file.
///
/// # Errors
///
/// If the file cannot be opened for writing.
pub fn start(path: &Path) -> Result<()> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .wrap_err_with(|| format!("the log {} cannot be written", path.display()))?;
    tracing_subscriber::fmt()
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .with_target(false)
        .with_max_level(Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .init();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        os = std::env::consts::OS,
        arch = std::env::consts::ARCH,
        "skiplens"
    );
    Ok(())
}
