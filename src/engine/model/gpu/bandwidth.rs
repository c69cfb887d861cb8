//! Memory bandwidth of a device.

use super::context::Gpu;
use super::pass::{Batch, Recorder};
use super::shader::{Kernel, READ_BYTES, READ_GROUPS};
use crate::engine::splitmix::SplitMix64;
use crate::engine::{Error, Result};
use std::time::Instant;

/// Bytes of a buffer that no cache holds, if the device allows it.
const BYTES: u64 = 512 << 20;
/// Bytes of random numbers, which are repeated.
const NOISE: u64 = 1 << 20;
/// Reads of the buffer per measurement.
const READS: u32 = 8;

/// Bytes per second that a kernel reads; the best of several runs.
///
/// # Errors
/// If the device is out of memory or fails.
pub fn read_bandwidth(gpu: &Gpu) -> Result<f64> {
    let limits = &gpu.limits;
    let bytes = BYTES
        .min(limits.max_buffer_size)
        .min(limits.max_storage_buffer_binding_size)
        / READ_BYTES
        * READ_BYTES;
    if bytes == 0 {
        return Err(Error::Gpu(format!(
            "{}: its buffers are too small to measure the bandwidth",
            gpu.info.name
        )));
    }
    let source = gpu.buffer(bytes, "a measurement")?;
    fill(gpu, &source)?;
    let batches = gpu.uniforms(size_of::<Batch>() as u64)?;
    let states = gpu.pass_group(&batches, &gpu.unread, &gpu.unwritten);
    let out = gpu.buffer(16, "a measurement")?;
    let group = gpu.read_group([&source, &out]);
    let mut best = f64::INFINITY;
    for _ in 0..4 {
        let started = Instant::now();
        let mut recorder = Recorder::new(gpu, &states, 1, 1);
        for _ in 0..READS {
            recorder.run(Kernel::Read, &[&group], [READ_GROUPS as u32, 1, 1]);
        }
        gpu.submit(recorder.finish());
        gpu.wait()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok((u64::from(READS) * bytes) as f64 / best)
}

/// Fills the buffer with random numbers, since zeros may be read faster.
fn fill(gpu: &Gpu, buffer: &wgpu::Buffer) -> Result<()> {
    let noise = gpu.buffer(NOISE, "a measurement")?;
    let mut random = SplitMix64(11);
    let words: Vec<u64> = (0..NOISE / 8).map(|_| random.next_u64()).collect();
    gpu.queue
        .write_buffer(&noise, 0, bytemuck::cast_slice(&words));
    let mut encoder = gpu.encoder();
    for at in (0..buffer.size()).step_by(NOISE as usize) {
        let bytes = NOISE.min(buffer.size() - at);
        encoder.copy_buffer_to_buffer(&noise, 0, buffer, at, Some(bytes));
    }
    gpu.submit(encoder);
    Ok(())
}
