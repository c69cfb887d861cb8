//! Devices that a model can run on, and the choice between them.

#[cfg(feature = "gpu")]
use super::gpu::{self, Gpu};
use crate::engine::{Error, Result, memory};
use candle_core::Device;
use std::str::FromStr;
#[cfg(feature = "gpu")]
use std::sync::Arc;

/// A requested device, the value of `--device`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The fastest device for the model, by its size.
    #[default]
    Auto,
    /// The CPU kernels.
    Cpu,
    /// The best adapter, or the one with this index.
    Gpu(Option<usize>),
    /// candle's CUDA device.
    Cuda,
    /// candle's Metal device.
    Metal,
}

impl FromStr for DeviceRequest {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let unknown = || {
            Error::Setting(format!(
                "unknown device {name:?}; choose auto, cpu, gpu, gpu:N, cuda or metal"
            ))
        };
        match name.trim().to_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            "cuda" => Ok(Self::Cuda),
            "metal" => Ok(Self::Metal),
            other => {
                let index = other.strip_prefix("gpu:").ok_or_else(unknown)?;
                index
                    .parse()
                    .map(Some)
                    .map(Self::Gpu)
                    .map_err(|_| unknown())
            }
        }
    }
}

/// An open device.
#[derive(Clone)]
pub enum Target {
    /// The CPU kernels.
    Cpu,
    /// A device of candle other than the CPU.
    Candle(Device),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>),
}

impl From<&Device> for Target {
    fn from(device: &Device) -> Self {
        match device {
            Device::Cpu => Self::Cpu,
            other => Self::Candle(other.clone()),
        }
    }
}

impl Target {
    /// Opens the requested device for a model whose weights have `bytes()` bytes; also returns why it was chosen, if the
    /// request left that open.
    ///
    /// # Errors
    /// If there is no such device or it cannot be opened.
    pub fn open(
        request: DeviceRequest,
        bytes: impl FnOnce() -> u64,
    ) -> Result<(Self, Option<String>)> {
        let missing = |what: &str, error: candle_core::Error| {
            Error::Setting(format!(
                "no {what} device is available ({error}); choose --device cpu, or build with --features {what}"
            ))
        };
        let candle = |device| (Self::Candle(device), None);
        match request {
            DeviceRequest::Cpu => Ok((Self::Cpu, None)),
            DeviceRequest::Cuda => Device::new_cuda(0)
                .map(candle)
                .map_err(|error| missing("cuda", error)),
            DeviceRequest::Metal => Device::new_metal(0)
                .map(candle)
                .map_err(|error| missing("metal", error)),
            DeviceRequest::Gpu(index) => Self::gpu(index),
            DeviceRequest::Auto => Ok(Self::auto(bytes)),
        }
    }

    /// Checks that `bytes` of weights fit the device; `what` names them.
    ///
    /// # Errors
    /// If they do not.
    pub fn check_memory(&self, bytes: u64, what: &str) -> Result<()> {
        match self {
            #[cfg(feature = "gpu")]
            Self::Gpu(gpu) => match gpu.info.memory {
                Some(memory) if memory < bytes => Err(Error::Gpu(format!(
                    "{what} takes {}, but {} has {}",
                    memory::human(bytes),
                    gpu.info.name,
                    memory::human(memory)
                ))),
                _ => Ok(()),
            },
            _ => memory::check(bytes, what),
        }
    }

    #[cfg(feature = "gpu")]
    fn gpu(index: Option<usize>) -> Result<(Self, Option<String>)> {
        let (info, adapter) = gpu::choose(index)?;
        let why = match (index, info.kind) {
            (_, gpu::AdapterKind::Software) => {
                "it runs on the CPU, more slowly than --device cpu".to_owned()
            }
            (Some(_), _) => "it was named".to_owned(),
            (None, kind) => format!("the best adapter, {}", kind.name()),
        };
        let why = format!("{}, {}: {why}", info.name, info.api);
        Ok((Self::Gpu(Gpu::open(info, &adapter)?), Some(why)))
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(_: Option<usize>) -> Result<(Self, Option<String>)> {
        Err(Error::Setting(
            "this build has no GPU back end; choose --device cpu, or build with --features gpu"
                .into(),
        ))
    }

    /// A discrete GPU or Apple's for a large model, else the CPU.
    #[cfg(feature = "gpu")]
    fn auto(bytes: impl FnOnce() -> u64) -> (Self, Option<String>) {
        let bytes = bytes();
        if bytes < gpu::AUTO_BYTES {
            return (Self::Cpu, None);
        }
        let opened = gpu::choose_auto(bytes).and_then(|(info, adapter)| {
            let why = format!(
                "{}, {}: auto takes it for a large model",
                info.name, info.api
            );
            let gpu = Gpu::open(info, &adapter).map_err(|error| error.to_string())?;
            Ok((Self::Gpu(gpu), why))
        });
        match opened {
            Ok((target, why)) => (target, Some(why)),
            Err(why) => (Self::Cpu, Some(format!("the CPU: {why}"))),
        }
    }

    /// candle's device if this build and this machine have one, else the CPU.
    #[cfg(not(feature = "gpu"))]
    fn auto(_: impl FnOnce() -> u64) -> (Self, Option<String>) {
        let device = Device::new_cuda(0)
            .or_else(|_| Device::new_metal(0))
            .unwrap_or(Device::Cpu);
        (Self::from(&device), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_are_parsed() {
        for (name, request) in [
            ("auto", DeviceRequest::Auto),
            ("CPU", DeviceRequest::Cpu),
            ("gpu", DeviceRequest::Gpu(None)),
            ("gpu:12", DeviceRequest::Gpu(Some(12))),
            ("cuda", DeviceRequest::Cuda),
            ("metal", DeviceRequest::Metal),
        ] {
            assert_eq!(name.parse::<DeviceRequest>().unwrap(), request);
        }
        for name in ["", "gpu:", "gpu:x", "gpu:-1", "tpu"] {
            let error = name.parse::<DeviceRequest>().unwrap_err().to_string();
            assert!(error.contains("gpu:N"), "{error}");
        }
    }
}
