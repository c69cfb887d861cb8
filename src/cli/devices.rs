//! `skiplens devices`: the devices that a model can run on.

use super::output::stdout;
use crate::engine::kernels::{Isa, physical_cores};
use crate::plural::counted;
use clap::Args;
use color_eyre::eyre::Result;
use std::process::ExitCode;

/// Options of `devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {}

/// Prints a line for each device, with its `--device`.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(_: &DevicesArgs) -> Result<ExitCode> {
    let (threads, isa) = (physical_cores(), Isa::detect().name());
    let mut text = format!("cpu     {}, {isa}\n", counted(threads, "thread"));
    gpus(&mut text);
    stdout().message(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Adds the GPUs, three lines for each.
#[cfg(feature = "gpu")]
pub fn gpus(text: &mut String) {
    use crate::engine::memory::human;
    use crate::engine::model::gpu::{AUTO_BYTES, adapters, auto_refuses};
    use std::fmt::Write;
    let all = adapters();
    for (info, _) in &all {
        let memory = info.memory.map_or("memory unknown".into(), human);
        let auto = match auto_refuses(info, AUTO_BYTES) {
            Some(why) => format!("auto does not choose it: it {why}"),
            None => format!(
                "auto chooses it for models of {} or more",
                human(AUTO_BYTES)
            ),
        };
        let _ = writeln!(
            text,
            "gpu:{}   {}\n        {}, {memory}, {}, driver {}\n        {auto}",
            info.index,
            info.name,
            info.kind.name(),
            info.api,
            info.driver,
        );
    }
    if all.is_empty() {
        text.push_str("gpu     none: no driver for Vulkan, Metal or Direct3D 12 was found\n");
    }
}

/// Adds a line that says why there are no GPUs.
#[cfg(not(feature = "gpu"))]
pub fn gpus(text: &mut String) {
    text.push_str("gpu     none: this build has no GPU back end; build with --features gpu\n");
}
