//! The adapters of this machine, and the choice between them.

use crate::engine::{Error, Result, memory};
use std::sync::OnceLock;

/// `auto` runs models of at least this size on a GPU; smaller ones are bound by dispatch latency.
pub const AUTO_BYTES: u64 = 500_000_000;

/// Kind of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterKind {
    /// A discrete GPU with its own memory.
    Discrete,
    /// An Apple GPU, which shares fast memory with the CPU.
    Apple,
    /// An integrated GPU, which shares the CPU's memory.
    Integrated,
    /// A virtual GPU, or one of unknown kind.
    Other,
    /// A software rasteriser on the CPU.
    Software,
}

impl AdapterKind {
    /// Name on screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete GPU",
            Self::Apple => "Apple GPU",
            Self::Integrated => "integrated GPU",
            Self::Other => "other GPU",
            Self::Software => "software",
        }
    }

    /// Whether `auto` considers it.
    pub fn is_fast(self) -> bool {
        matches!(self, Self::Discrete | Self::Apple)
    }
}

/// An adapter: a GPU and one of its drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterInfo {
    /// N of `--device gpu:N`.
    pub index: usize,
    /// Name reported by the driver.
    pub name: String,
    /// What kind of device it is.
    pub kind: AdapterKind,
    /// `Vulkan`, `Metal` or `Dx12`.
    pub api: String,
    /// Name and version of the driver.
    pub driver: String,
    /// Bytes of its own memory, if known.
    pub memory: Option<u64>,
}

/// The process's instance. Drivers are loaded once, which takes 20 to 300 ms.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12,
            // Validation layers write to standard error and slow every call down.
            flags: wgpu::InstanceFlags::empty(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        })
    })
}

/// The adapters, ordered by index. A GPU with drivers for several APIs appears once for each.
pub fn adapters() -> Vec<(AdapterInfo, wgpu::Adapter)> {
    let all = pollster::block_on(instance().enumerate_adapters(wgpu::Backends::all()));
    let describe = |(index, adapter): (usize, wgpu::Adapter)| (describe(index, &adapter), adapter);
    all.into_iter().enumerate().map(describe).collect()
}

fn describe(index: usize, adapter: &wgpu::Adapter) -> AdapterInfo {
    let info = adapter.get_info();
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        _ if info.backend == wgpu::Backend::Metal => AdapterKind::Apple,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        _ => AdapterKind::Other,
    };
    let driver = format!("{} {}", info.driver, info.driver_info);
    AdapterInfo {
        index,
        name: info.name,
        kind,
        api: format!("{:?}", info.backend),
        driver: driver.trim().to_owned(),
        memory: local_memory(adapter),
    }
}

/// Size of the memory heaps that are local to the device.
#[cfg(not(target_vendor = "apple"))]
fn local_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    /// VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the raw handles are only used for a query while the adapter is alive.
    unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = adapter.shared_instance().raw_instance();
        let properties =
            instance.get_physical_device_memory_properties(adapter.raw_physical_device());
        let heaps = properties.memory_heaps_as_slice().iter();
        let local = heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0);
        Some(local.map(|heap| heap.size).sum())
    }
}

#[cfg(target_vendor = "apple")]
fn local_memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// The adapter of `--device gpu` or `gpu:N`: the best one, or the one with that index.
///
/// # Errors
/// If there is none.
pub fn choose(index: Option<usize>) -> Result<(AdapterInfo, wgpu::Adapter)> {
    let mut all = adapters();
    let count = all.len();
    if count == 0 {
        return Err(Error::Gpu(
            "no GPU driver was found (Vulkan, Metal or Direct3D 12); install the driver of the GPU"
                .into(),
        ));
    }
    let at = match index {
        Some(index) if index < count => index,
        Some(index) => {
            return Err(Error::Setting(format!(
                "there is no gpu:{index}; `skiplens devices` lists the adapters of this machine"
            )));
        }
        None => best(all.iter().map(|(info, _)| info)).unwrap_or(0),
    };
    Ok(all.swap_remove(at))
}

/// Position of the best adapter.
fn best<'a>(all: impl Iterator<Item = &'a AdapterInfo>) -> Option<usize> {
    let rank = |info: &AdapterInfo| match info.kind {
        AdapterKind::Discrete => 0,
        AdapterKind::Apple => 1,
        AdapterKind::Integrated => 2,
        AdapterKind::Other => 3,
        AdapterKind::Software => 4,
    };
    // Of equal ones the larger memory wins, then the first: drivers list the primary device first.
    all.enumerate()
        .min_by_key(|(at, info)| (rank(info), std::cmp::Reverse(info.memory), *at))
        .map(|(at, _)| at)
}

/// The adapter on which `auto` runs a model with `bytes` of weights.
///
/// # Errors
/// With the reason why the model runs on the CPU.
pub fn choose_auto(bytes: u64) -> Result<(AdapterInfo, wgpu::Adapter), String> {
    if bytes < AUTO_BYTES {
        return Err(too_small(bytes));
    }
    let mut all = adapters();
    let fits: Vec<AdapterInfo> = all
        .iter()
        .map(|(info, _)| info.clone())
        .filter(|info| auto_refuses(info, bytes).is_none())
        .collect();
    match best(fits.iter()) {
        Some(at) => Ok(all.swap_remove(fits[at].index)),
        None => Err(match all.first() {
            None => "no GPU was found".into(),
            Some((info, _)) => match auto_refuses(info, bytes) {
                Some(why) => format!("{} {why}", info.name),
                None => "no GPU fits".into(),
            },
        }),
    }
}

fn too_small(bytes: u64) -> String {
    format!(
        "a model of {} runs at least as fast on the CPU; --device gpu takes the GPU",
        memory::human(bytes)
    )
}

/// Why `auto` does not choose an adapter for a model with `bytes` of weights; `None` if it may.
pub fn auto_refuses(info: &AdapterInfo, bytes: u64) -> Option<String> {
    match info.kind {
        AdapterKind::Software => Some("runs on the CPU".into()),
        kind if !kind.is_fast() => Some(format!("is an {}", kind.name())),
        _ if info.memory.is_some_and(|memory| memory < bytes) => Some(format!(
            "has {}, less than the {} of the weights",
            memory::human(info.memory.unwrap_or(0)),
            memory::human(bytes)
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, kind: AdapterKind, memory: u64) -> AdapterInfo {
        AdapterInfo {
            index,
            name: format!("adapter {index}"),
            kind,
            api: "Vulkan".into(),
            driver: String::new(),
            memory: Some(memory),
        }
    }

    #[test]
    fn the_best_adapter_is_a_discrete_one_and_a_software_one_the_last_resort() {
        use AdapterKind::*;
        let best_of = |kinds: &[AdapterKind]| {
            let all: Vec<_> = kinds
                .iter()
                .enumerate()
                .map(|(i, &kind)| adapter(i, kind, 8 << 30))
                .collect();
            best(all.iter())
        };
        assert_eq!(best_of(&[Software, Integrated, Discrete]), Some(2));
        assert_eq!(best_of(&[Software, Integrated]), Some(1));
        assert_eq!(best_of(&[Software]), Some(0));
        assert_eq!(best_of(&[Discrete, Discrete]), Some(0));
        assert_eq!(best_of(&[]), None);
        let larger = [
            adapter(0, Discrete, 8 << 30),
            adapter(1, Discrete, 24 << 30),
        ];
        assert_eq!(best(larger.iter()), Some(1));
    }

    #[test]
    fn auto_takes_only_fast_adapters_with_enough_memory() {
        use AdapterKind::*;
        let refuses = |kind, memory| auto_refuses(&adapter(0, kind, memory), 4 << 30);
        assert_eq!(refuses(Discrete, 8 << 30), None);
        assert_eq!(refuses(Apple, 8 << 30), None);
        for kind in [Software, Integrated, Other] {
            assert!(refuses(kind, 64 << 30).is_some());
        }
        assert!(refuses(Discrete, 2 << 30).unwrap().contains("less than"));
        // No driver is loaded for a small model.
        assert!(choose_auto(AUTO_BYTES - 1).unwrap_err().contains("CPU"));
    }
}
