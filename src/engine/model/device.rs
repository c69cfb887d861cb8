//! Devices that a model can run on, and the choice between them.

#[cfg(feature = "gpu")]
use super::gpu::{self, Gpu};
use crate::engine::{Error, Result, memory};
use candle_core::Device;
use std::str::FromStr;
#[cfg(feature = "gpu")]
use std::sync::Arc;

/// A requested device, the value of `--device`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeviceRequest {
    /// The fastest device for the model, by its size.
    #[default]
    Auto,
    /// The CPU kernels.
    Cpu,
    /// The best GPU adapter, or the one with this index.
    Gpu(Option<usize>),
    /// These GPU adapters, each for a part of the layers.
    Gpus(Vec<usize>),
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
                "unknown device {name:?}; choose auto, cpu, gpu, gpu:N, cuda or metal, or several GPUs such as gpu:0,gpu:1"
            ))
        };
        let lower = name.trim().to_lowercase();
        match lower.as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu(None)),
            "cuda" => Ok(Self::Cuda),
            "metal" => Ok(Self::Metal),
            list if list.contains(',') => {
                let each = list.split(',').map(|one| {
                    index(one.trim()).ok_or_else(|| {
                        Error::Setting(format!(
                            "{:?} in the list of devices is not a GPU; write a list such as gpu:0,gpu:1",
                            one.trim()
                        ))
                    })
                });
                each.collect::<Result<_>>().map(Self::Gpus)
            }
            one => index(one).map(Some).map(Self::Gpu).ok_or_else(unknown),
        }
    }
}

/// N of `gpu:N`.
fn index(name: &str) -> Option<usize> {
    name.strip_prefix("gpu:")?.parse().ok()
}

/// An open device.
#[derive(Clone)]
pub enum Target {
    /// The CPU kernels.
    Cpu,
    /// A candle device other than the CPU.
    Candle(Device),
    /// A GPU.
    #[cfg(feature = "gpu")]
    Gpu(Arc<Gpu>),
    /// Several GPUs, each for a part of the layers.
    #[cfg(feature = "gpu")]
    Gpus(Vec<Arc<Gpu>>),
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
    /// Opens the requested device for a model with `bytes()` bytes of weights. Also returns why it was chosen, if the
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
            DeviceRequest::Gpus(indices) => Self::gpus(&indices),
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
            Self::Gpu(gpu) => check_gpus(std::slice::from_ref(gpu), bytes, what),
            #[cfg(feature = "gpu")]
            Self::Gpus(gpus) => check_gpus(gpus, bytes, what),
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

    #[cfg(feature = "gpu")]
    fn gpus(indices: &[usize]) -> Result<(Self, Option<String>)> {
        let (mut gpus, mut names) = (Vec::new(), Vec::new());
        for &index in indices {
            let (info, adapter) = gpu::choose(Some(index))?;
            names.push(format!("gpu:{index} {}", info.name));
            gpus.push(Gpu::open(info, &adapter)?);
        }
        let why = format!("the layers are divided among {}", names.join(", "));
        Ok((Self::Gpus(gpus), Some(why)))
    }

    #[cfg(not(feature = "gpu"))]
    fn gpu(_: Option<usize>) -> Result<(Self, Option<String>)> {
        Err(Error::Setting(
            "this build has no GPU back end; choose --device cpu, or build with --features gpu"
                .into(),
        ))
    }

    #[cfg(not(feature = "gpu"))]
    fn gpus(_: &[usize]) -> Result<(Self, Option<String>)> {
        Self::gpu(None)
    }

    /// A discrete or Apple GPU for a large model, else the CPU.
    #[cfg(feature = "gpu")]
    fn auto(bytes: impl FnOnce() -> u64) -> (Self, Option<String>) {
        let bytes = bytes();
        if bytes < gpu::AUTO_BYTES {
            return (Self::Cpu, None);
        }
        let opened = gpu::choose_auto(bytes).and_then(|(info, adapter)| {
            let why = format!(
                "{}, {}: auto chooses it for a large model",
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

/// Checks that `bytes` of weights fit these GPUs together. GPUs with unknown memory pass.
#[cfg(feature = "gpu")]
fn check_gpus(gpus: &[Arc<Gpu>], bytes: u64, what: &str) -> Result<()> {
    let mut counted = Vec::new();
    let mut total = 0;
    for gpu in gpus {
        let info = &gpu.info;
        if counted.contains(&info.index) {
            continue;
        }
        let Some(memory) = info.memory else {
            return Ok(());
        };
        counted.push(info.index);
        total += memory;
    }
    if bytes <= total {
        return Ok(());
    }
    let names: Vec<&str> = gpus.iter().map(|gpu| gpu.info.name.as_str()).collect();
    Err(Error::Gpu(format!(
        "{what} takes {}, but {} has {}",
        memory::human(bytes),
        names.join(" and "),
        memory::human(total)
    )))
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
            ("gpu:0,gpu:1", DeviceRequest::Gpus(vec![0, 1])),
            ("GPU:2, gpu:2", DeviceRequest::Gpus(vec![2, 2])),
            ("cuda", DeviceRequest::Cuda),
            ("metal", DeviceRequest::Metal),
        ] {
            assert_eq!(name.parse::<DeviceRequest>().unwrap(), request);
        }
        for name in [
            "",
            "gpu:",
            "gpu:x",
            "gpu:-1",
            "tpu",
            "gpu:0,",
            "gpu:0,1",
            "gpu,gpu",
            "cpu,gpu:0",
        ] {
            let error = name.parse::<DeviceRequest>().unwrap_err().to_string();
            assert!(error.contains("gpu:0,gpu:1"), "{error}");
        }
    }
}
