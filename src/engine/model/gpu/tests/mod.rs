//! Tests on whatever adapter there is, usually Mesa's lavapipe. Without one they say that they were skipped.

mod decoding;
mod kernels;
mod models;
mod tuning;

use super::context::Gpu;
use super::shader::Dot;
use super::{GpuModel, SplitModel, adapters, choose};
use crate::engine::model::Model;
use crate::engine::weights::Checkpoint;
use std::sync::{Arc, OnceLock};

/// The device of all tests, so that every kernel is compiled once; `None` if there is no adapter.
pub fn gpu() -> Option<Arc<Gpu>> {
    static GPU: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let opened = GPU.get_or_init(|| {
        if adapters().is_empty() {
            return None;
        }
        let (info, adapter) = choose(None).unwrap();
        Some(Gpu::open(info, &adapter).unwrap())
    });
    if opened.is_none() {
        eprintln!("skipped: this machine has no GPU driver, not even a software one");
    }
    opened.clone()
}

/// A device that multiplies bytes as floats, like those without an instruction for it.
pub fn float_gpu() -> Option<Arc<Gpu>> {
    static GPU: OnceLock<Option<Arc<Gpu>>> = OnceLock::new();
    let opened = GPU.get_or_init(|| {
        gpu()?;
        let (info, adapter) = choose(None).unwrap();
        Some(Gpu::open_with(info, &adapter, Dot::Float).unwrap())
    });
    opened.clone()
}

pub fn load(checkpoint: &Checkpoint, gpu: &Arc<Gpu>) -> Box<dyn Model> {
    Box::new(GpuModel::load(checkpoint, gpu.clone(), &mut |_| ()).unwrap())
}

/// The model on one device, and with its layers divided among two devices of the same adapter.
pub fn load_whole_and_split(checkpoint: &Checkpoint, gpu: &Arc<Gpu>) -> [Box<dyn Model>; 2] {
    let gpus = [gpu.clone(), gpu.clone()];
    let split = SplitModel::load(checkpoint, &gpus, &mut |_| ()).unwrap();
    [load(checkpoint, gpu), Box::new(split)]
}
