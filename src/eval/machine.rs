//! The machine of a measurement.

use crate::engine::kernels::physical_cores;
use crate::engine::model::Model;
use serde::{Deserialize, Serialize};
use std::process::Command;

/// The properties of a machine that determine how fast a model runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    pub system: String,
    /// Name of the processor.
    pub cpu: String,
    /// Instruction set of the CPU kernels, if they are used.
    pub simd: Option<String>,
    /// `cpu×2`, `cuda`, `metal`: the device with its threads.
    pub device: String,
}

impl Machine {
    /// This machine, running `model`.
    pub fn of(model: &dyn Model) -> Self {
        Self {
            host: host(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: cpu(),
            simd: model.simd().map(str::to_owned),
            device: model.device_name(),
        }
    }
}

/// Load average of the last minute; `None` if the system does not report it.
pub fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// A warning before measuring on a busy machine; `None` on an idle one.
pub fn busy() -> Option<String> {
    let cores = physical_cores();
    let load = load().filter(|&load| load > cores as f64 / 2.0)?;
    Some(format!(
        "the machine is busy (load {load:.1} on {cores} cores): times will not be those of a quiet one"
    ))
}

fn host() -> String {
    let named = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| output_of("hostname", &[]));
    named.map_or_else(|| "unknown".into(), |name| name.trim().to_owned())
}

fn cpu() -> String {
    let from_proc = || {
        let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let from_sysctl = || output_of("sysctl", &["-n", "machdep.cpu.brand_string"]);
    let from_windows = || std::env::var("PROCESSOR_IDENTIFIER").ok();
    from_proc()
        .or_else(from_windows)
        .or_else(from_sysctl)
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The first line of a system program's output.
fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    let line = line.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
