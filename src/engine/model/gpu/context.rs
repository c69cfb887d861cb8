//! An open device with its kernels.

use super::adapters::AdapterInfo;
use super::shader::{Dot, Kernel, source};
use crate::engine::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wgpu::BufferUsages as Usage;

/// Bytes between entries of a uniform buffer with dynamic offsets: the largest alignment that devices require.
pub const UNIFORM_STRIDE: u64 = 256;

/// An open device.
pub struct Gpu {
    /// The adapter.
    pub info: AdapterInfo,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    dot: Dot,
    pipelines: Mutex<HashMap<Kernel, wgpu::ComputePipeline>>,
    layouts: Layouts,
    /// The first error that the device reported.
    fault: Arc<Mutex<Option<String>>>,
    /// The only row count that matrix products use, if their results depend on it on this device.
    pub(super) only_rows: Option<usize>,
    /// Bound in place of a buffer that a kernel neither reads nor writes.
    pub(super) unread: wgpu::Buffer,
    pub(super) unwritten: wgpu::Buffer,
}

/// Kinds of bindings of a bind group.
#[derive(Clone, Copy)]
enum Binding {
    Read,
    Write,
    Uniform,
}

/// Layouts of bind groups.
struct Layouts {
    /// Group 0 of all kernels.
    pass: wgpu::BindGroupLayout,
    /// Group 2 of kernels on the cache.
    cache: wgpu::BindGroupLayout,
    multiply: wgpu::BindGroupLayout,
    emit: wgpu::BindGroupLayout,
    rope: wgpu::BindGroupLayout,
    attend: wgpu::BindGroupLayout,
    /// Group 3 of attention over a single page.
    heads: wgpu::BindGroupLayout,
    choose: wgpu::BindGroupLayout,
    moves: wgpu::BindGroupLayout,
    read: wgpu::BindGroupLayout,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gpu {
    /// Opens the device of an adapter.
    ///
    /// # Errors
    /// If the driver fails to open it.
    pub fn open(info: AdapterInfo, adapter: &wgpu::Adapter) -> Result<Arc<Self>> {
        // Apple GPUs have no packed dot product of bytes.
        let dot = match adapter.get_info().backend {
            wgpu::Backend::Metal => Dot::Float,
            _ => Dot::Packed,
        };
        Self::open_with(info, adapter, dot)
    }

    pub(super) fn open_with(
        info: AdapterInfo,
        adapter: &wgpu::Adapter,
        dot: Dot,
    ) -> Result<Arc<Self>> {
        let limits = adapter.limits();
        let request = wgpu::DeviceDescriptor {
            label: Some("skiplens"),
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let refused = |error| Error::Gpu(format!("{} cannot be opened: {error}", info.name));
        let (device, queue) =
            pollster::block_on(adapter.request_device(&request)).map_err(refused)?;
        let fault = Arc::new(Mutex::new(None));
        let record = {
            let fault = fault.clone();
            move |message: String| {
                tracing::error!(message, "GPU");
                lock(&fault).get_or_insert(message);
            }
        };
        let lost = fault.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| record(describe(&error))));
        device.set_device_lost_callback(move |_, message| {
            lock(&lost).get_or_insert(format!("the device was lost ({message})"));
        });
        let buffer = |size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        };
        let mut gpu = Self {
            layouts: Layouts::new(&device),
            unread: buffer(256, Usage::STORAGE),
            unwritten: buffer(256, Usage::STORAGE),
            info,
            device,
            queue,
            limits,
            dot,
            pipelines: Mutex::default(),
            fault,
            only_rows: None,
        };
        gpu.check()?;
        gpu.only_rows = super::check::only_rows(&gpu)?;
        Ok(Arc::new(gpu))
    }

    /// The first error that the device reported so far.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<()> {
        match &*lock(&self.fault) {
            Some(message) => Err(Error::Gpu(format!("{}: {message}", self.info.name))),
            None => Ok(()),
        }
    }

    /// A zeroed buffer for storage, copies in both directions and uniforms.
    ///
    /// # Errors
    /// [`Error::Gpu`] if the memory cannot be allocated; `what` names its purpose.
    pub(super) fn buffer(&self, bytes: u64, what: &str) -> Result<wgpu::Buffer> {
        self.typed_buffer(
            bytes,
            Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
            what,
        )
    }

    /// A buffer that can be mapped for reading.
    ///
    /// # Errors
    /// As [`Self::buffer`].
    pub(super) fn staging(&self, bytes: u64) -> Result<wgpu::Buffer> {
        self.typed_buffer(bytes, Usage::MAP_READ | Usage::COPY_DST, "results")
    }

    /// A buffer for uniforms.
    ///
    /// # Errors
    /// As [`Self::buffer`].
    pub(super) fn uniforms(&self, bytes: u64) -> Result<wgpu::Buffer> {
        self.typed_buffer(bytes, Usage::UNIFORM | Usage::COPY_DST, "constants")
    }

    /// A uniform with these words.
    ///
    /// # Errors
    /// As [`Self::buffer`].
    pub(super) fn uniform(&self, words: &[u32]) -> Result<wgpu::Buffer> {
        let buffer = self.uniforms(words.len() as u64 * 4)?;
        self.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        Ok(buffer)
    }

    fn typed_buffer(&self, bytes: u64, usage: Usage, what: &str) -> Result<wgpu::Buffer> {
        let size = bytes.max(16).next_multiple_of(16);
        let name = &self.info.name;
        if size > self.limits.max_buffer_size {
            return Err(Error::Gpu(format!(
                "{name}: {what} need a buffer of {}, but its driver allows {}",
                crate::engine::memory::human(size),
                crate::engine::memory::human(self.limits.max_buffer_size)
            )));
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            return Err(Error::Gpu(format!(
                "{name} is out of memory: {what} need {}",
                crate::engine::memory::human(size)
            )));
        }
        self.check()?;
        Ok(buffer)
    }

    /// The kernel's pipeline, compiled on first use.
    pub(super) fn pipeline(&self, kernel: Kernel) -> wgpu::ComputePipeline {
        let mut pipelines = lock(&self.pipelines);
        pipelines
            .entry(kernel)
            .or_insert_with(|| self.compile(kernel))
            .clone()
    }

    fn compile(&self, kernel: Kernel) -> wgpu::ComputePipeline {
        let name = format!("{kernel:?}");
        let shader = wgpu::ShaderModuleDescriptor {
            label: Some(&name),
            source: wgpu::ShaderSource::Wgsl(source(kernel, self.dot).into()),
        };
        // SAFETY: bounds checks are off. The kernels index within the sizes that this back end allocates: rows, units
        // and slots are bounded by the sizes in the same bind group, and `check_rows` bounds the rows of a pass.
        let module = unsafe {
            self.device
                .create_shader_module_trusted(shader, wgpu::ShaderRuntimeChecks::unchecked())
        };
        let layouts = &self.layouts;
        let (own, cache) = match kernel {
            Kernel::AttendPage { .. } => (&layouts.emit, true),
            Kernel::Multiply { .. } | Kernel::Embed(_) => (&layouts.multiply, false),
            Kernel::Norm | Kernel::Swiglu | Kernel::Combine => (&layouts.emit, false),
            Kernel::Rope => (&layouts.rope, true),
            Kernel::Attend { .. } => (&layouts.attend, true),
            Kernel::Choose { .. } => (&layouts.choose, false),
            Kernel::MoveCache => (&layouts.moves, true),
            Kernel::MoveStates => (&layouts.moves, false),
            Kernel::Read => (&layouts.read, false),
            #[cfg(test)]
            Kernel::Noise => (&layouts.read, false),
        };
        let mut groups = vec![Some(&layouts.pass), Some(own)];
        groups.extend(cache.then_some(Some(&layouts.cache)));
        if matches!(kernel, Kernel::AttendPage { .. }) {
            groups.push(Some(&layouts.heads));
        }
        let layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&name),
                bind_group_layouts: &groups,
                immediate_size: 0,
            });
        self.device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&name),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
    }

    fn group(&self, layout: &wgpu::BindGroupLayout, buffers: &[&wgpu::Buffer]) -> wgpu::BindGroup {
        let entries: Vec<_> = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout,
            entries: &entries,
        })
    }

    /// Group 0: batches with dynamic offsets, rows, states.
    pub(super) fn pass_group(
        &self,
        batches: &wgpu::Buffer,
        rows: &wgpu::Buffer,
        states: &wgpu::Buffer,
    ) -> wgpu::BindGroup {
        let batch = wgpu::BufferBinding {
            buffer: batches,
            offset: 0,
            size: std::num::NonZeroU64::new(size_of::<super::pass::Batch>() as u64),
        };
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.layouts.pass,
            entries: &[
                entry(0, wgpu::BindingResource::Buffer(batch)),
                entry(1, rows.as_entire_binding()),
                entry(2, states.as_entire_binding()),
            ],
        })
    }

    pub(super) fn cache_group(&self, cache: &wgpu::Buffer) -> wgpu::BindGroup {
        self.group(&self.layouts.cache, &[cache])
    }

    /// Quants, extra, activations, their scales, output, sizes.
    pub(super) fn multiply_group(&self, buffers: [&wgpu::Buffer; 6]) -> wgpu::BindGroup {
        self.group(&self.layouts.multiply, &buffers)
    }

    /// Input, weights, three outputs, sizes.
    pub(super) fn emit_group(&self, buffers: [&wgpu::Buffer; 6]) -> wgpu::BindGroup {
        self.group(&self.layouts.emit, &buffers)
    }

    /// Output of the projections, rotations, queries, sizes.
    pub(super) fn rope_group(&self, buffers: [&wgpu::Buffer; 4]) -> wgpu::BindGroup {
        self.group(&self.layouts.rope, &buffers)
    }

    /// Queries, partial results, sizes.
    pub(super) fn attend_group(&self, buffers: [&wgpu::Buffer; 3]) -> wgpu::BindGroup {
        self.group(&self.layouts.attend, &buffers)
    }

    /// Numbers of heads.
    pub(super) fn heads_group(&self, heads: &wgpu::Buffer) -> wgpu::BindGroup {
        self.group(&self.layouts.heads, &[heads])
    }

    /// Logits, ids, choices, tokens, sizes.
    pub(super) fn choose_group(&self, buffers: [&wgpu::Buffer; 5]) -> wgpu::BindGroup {
        self.group(&self.layouts.choose, &buffers)
    }

    /// Pairs of slots, sizes.
    pub(super) fn moves_group(&self, buffers: [&wgpu::Buffer; 2]) -> wgpu::BindGroup {
        self.group(&self.layouts.moves, &buffers)
    }

    /// Source, output: of the kernel that reads, and of the noise of a position.
    pub(super) fn read_group(&self, buffers: [&wgpu::Buffer; 2]) -> wgpu::BindGroup {
        self.group(&self.layouts.read, &buffers)
    }

    /// A new command encoder.
    pub(super) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// Submits commands. Their errors surface in later calls.
    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) {
        self.queue.submit([encoder.finish()]);
    }

    /// Waits for all submitted work.
    ///
    /// # Errors
    /// If the device failed.
    pub(super) fn wait(&self) -> Result<()> {
        let polled = self.device.poll(wgpu::PollType::wait_indefinitely());
        self.check()?;
        polled.map_err(|error| Error::Gpu(format!("{}: {error}", self.info.name)))?;
        Ok(())
    }

    /// Submits commands that end with a copy to `staging`, waits, and passes the first `bytes` of it to `read`.
    ///
    /// # Errors
    /// If the device failed.
    pub(super) fn read(
        &self,
        encoder: wgpu::CommandEncoder,
        staging: &wgpu::Buffer,
        bytes: u64,
        read: impl FnOnce(&[u8]),
    ) -> Result<()> {
        self.submit(encoder);
        self.check()?;
        let slice = staging.slice(..bytes);
        slice.map_async(wgpu::MapMode::Read, |_| ());
        self.wait()?;
        let failed = |error| Error::Gpu(format!("{}: {error}", self.info.name));
        read(&slice.get_mapped_range().map_err(failed)?);
        staging.unmap();
        Ok(())
    }
}

/// The message for the user about a device error.
fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => "it is out of memory".into(),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            description.replace('\n', " ")
        }
    }
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        use Binding::{Read, Uniform, Write};
        let layout = |bindings: &[Binding], dynamic: bool| {
            let entries: Vec<_> = bindings
                .iter()
                .zip(0..)
                .map(|(&kind, binding)| entry(binding, kind, dynamic))
                .collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            })
        };
        let own = |bindings: &[Binding]| layout(bindings, false);
        Self {
            pass: layout(&[Uniform, Read, Write], true),
            cache: own(&[Write]),
            multiply: own(&[Read, Read, Read, Read, Write, Uniform]),
            emit: own(&[Read, Read, Write, Write, Write, Uniform]),
            rope: own(&[Read, Read, Write, Uniform]),
            attend: own(&[Read, Write, Uniform]),
            heads: own(&[Uniform]),
            choose: own(&[Read, Read, Read, Write, Uniform]),
            moves: own(&[Read, Uniform]),
            read: own(&[Read, Write]),
        }
    }
}

fn entry(binding: u32, kind: Binding, dynamic: bool) -> wgpu::BindGroupLayoutEntry {
    let ty = match kind {
        Binding::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Binding::Write => wgpu::BufferBindingType::Storage { read_only: false },
        Binding::Uniform => wgpu::BufferBindingType::Uniform,
    };
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: dynamic && matches!(kind, Binding::Uniform),
            min_binding_size: None,
        },
        count: None,
    }
}
