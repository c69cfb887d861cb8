//! `skiplens doctor`: a report for bug reports, without private data.

use super::devices;
use super::output::stdout;
use crate::app::Appearance;
use crate::engine::kernels::{Isa, physical_cores};
use crate::engine::memory::{available, human};
use crate::engine::weights::{cached_models, describe, locate};
use crate::folders;
use crate::plural::counted;
use clap::Args;
use color_eyre::eyre::Result;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// Bytes that each thread reads to measure the memory bandwidth: more than the caches hold.
const BANDWIDTH_BYTES: usize = 128 << 20;
/// Number of measurements; the best one counts.
const READINGS: usize = 3;
/// Environment variables without private values.
const SHOWN: [&str; 9] = [
    "TERM",
    "COLORTERM",
    "TERM_PROGRAM",
    "NO_COLOR",
    "LANG",
    "LC_ALL",
    "SKIPLENS_SIMD",
    "HF_HUB_OFFLINE",
    "VK_ICD_FILENAMES",
];
/// Environment variables that are only reported as set.
const HIDDEN: [&str; 6] = [
    "HF_TOKEN",
    "HF_HOME",
    "HF_ENDPOINT",
    "SKIPLENS_DATA_DIR",
    "TMUX",
    "SSH_CONNECTION",
];

/// Prints the report.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(_: &DoctorArgs) -> Result<ExitCode> {
    stdout().message(&report())?;
    Ok(ExitCode::SUCCESS)
}

fn report() -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    line("skiplens", env!("CARGO_PKG_VERSION"));
    line(
        "system",
        &format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
    );
    let cores = physical_cores();
    line(
        "cpu",
        &format!("{}, {}", counted(cores, "core"), Isa::detect().name()),
    );
    let free = available().map_or("unknown".into(), human);
    let bandwidth = human(bandwidth(cores) as u64);
    line(
        "memory",
        &format!("{free} available, read at {bandwidth}/s"),
    );
    let mut gpus = String::new();
    devices::gpus(&mut gpus);
    for (at, gpu) in gpus.lines().enumerate() {
        line(if at == 0 { "devices" } else { "" }, gpu);
    }
    line("terminal", &terminal());
    line("environment", &environment());
    for (name, folder) in folders_in_use() {
        line(name, &folder);
    }
    line("bundled", &bundled());
    line(
        "models",
        &format!("{} in the Hugging Face cache", cached_models().len()),
    );
    out
}

/// Bytes per second that all cores together read from memory.
fn bandwidth(threads: usize) -> f64 {
    let mut best = f64::INFINITY;
    let blocks: Vec<Vec<u64>> = (0..threads)
        .map(|thread| vec![thread as u64; BANDWIDTH_BYTES / 8])
        .collect();
    for _ in 0..READINGS {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for block in &blocks {
                scope.spawn(|| black_box(block.iter().fold(0u64, |sum, word| sum ^ word)));
            }
        });
        best = best.min(start.elapsed().as_secs_f64());
    }
    (threads * BANDWIDTH_BYTES) as f64 / best
}

fn terminal() -> String {
    let appearance = Appearance::from_env(|name| std::env::var(name).ok());
    let size = crossterm::terminal::size().map_or("size unknown".into(), |(columns, rows)| {
        format!("{columns}×{rows}")
    });
    let symbols = if appearance.ascii { "ASCII" } else { "Unicode" };
    format!("{size}, {:?} colour, {symbols}", appearance.depth)
}

fn environment() -> String {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let shown = SHOWN
        .iter()
        .filter_map(|name| Some(format!("{name}={}", value(name)?)));
    let hidden = HIDDEN
        .iter()
        .filter_map(|name| value(name).map(|_| format!("{name} is set")));
    let all: Vec<String> = shown.chain(hidden).collect();
    match all.is_empty() {
        true => "nothing that matters".into(),
        false => all.join(", "),
    }
}

fn folders_in_use() -> Vec<(&'static str, String)> {
    let system = folders::system();
    let config = system.as_ref().map(|folders| folders.config_dir());
    let shown = |folder: Option<&Path>| match folder {
        None => "none: no home folder is known".into(),
        Some(folder) => format!("{}{}", without_home(folder), state_of(folder)),
    };
    vec![
        ("config", shown(config)),
        ("data", shown(folders::data().as_deref())),
        ("cache", shown(folders::cache().as_deref())),
    ]
}

fn state_of(folder: &Path) -> &'static str {
    match std::fs::metadata(folder) {
        Err(_) => " (not there yet)",
        Ok(found) if !found.is_dir() => " (not a folder)",
        Ok(found) if found.permissions().readonly() => " (read-only)",
        Ok(_) => "",
    }
}

/// A path with `~` for the home folder, so that it does not reveal the user's name.
fn without_home(path: &Path) -> String {
    let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => Path::new("~").join(rest).display().to_string(),
        None => path.display().to_string(),
    }
}

fn bundled() -> String {
    let path = match locate(None, &mut |_, _| {}) {
        Ok(path) => path,
        Err(error) => return format!("not found: {error}"),
    };
    let place = without_home(&path);
    match describe(&path) {
        Ok(found) => format!("{place}, {}", human(found.bytes)),
        Err(error) => format!("{place}, unusable: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_folder_is_not_revealed() {
        let home = directories::BaseDirs::new().unwrap().home_dir().to_owned();
        assert_eq!(without_home(&home.join("a/b")), "~/a/b");
        assert_eq!(without_home(Path::new("/opt/x")), "/opt/x");
        let report = report();
        assert!(!report.contains(home.to_str().unwrap()) || home == Path::new("/"));
        for part in ["skiplens ", "cpu ", "memory ", "devices ", "bundled "] {
            assert!(report.contains(part), "{part}\n{report}");
        }
    }
}
