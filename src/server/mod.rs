//! The engine behind OpenAI's HTTP interface.
//!
//! ```text
//! connection ─ router ─ plan ──job──▶ queue ──▶ worker (one thread: decoder, pool of sequences)
//!                 ▲                                 │
//!                 └── answer (whole or stream) ◀── updates
//! ```
//!
//! Playgrounds elsewhere use engines of their own, whose workers share the weights and take turns with this one
//! ([`remote`]).
//!
//! Requests are read, checked and made into tokens beside the worker, which does one job after the other. Whoever stops
//! listening to the updates of a job ends it within a round.

mod access;
mod answer;
mod api;
mod engine;
mod error;
mod listen;
mod metrics;
mod openapi;
mod plan;
mod remote;
mod router;
mod stream;
mod watch;

use crate::engine::decode::{Settings, Stats};
use crate::engine::loaded_model::{LoadedModel, ModelInfo, ModelRequest, PromptEncoder};
use crate::engine::memory;
use crate::remote::Heartbeat;
use api::models::{ModelEntry, ModelMeta};
use api::tokens::TokenizerInfo;
use engine::{Queue, Worker};
use metrics::Metrics;
use remote::{MAX_CLIENTS, Models};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tokio::sync::watch::{Receiver, Sender};
use watch::Watch;

/// How a server serves.
#[derive(Debug, Clone)]
pub struct Options {
    /// What requests get that leave fields out.
    pub defaults: Settings,
    /// Whether the seed of the defaults was chosen; otherwise every request has its own.
    pub seeded: bool,
    /// How many tokens a chat gets that names no limit; none for all that fit in the context.
    pub max_tokens: Option<usize>,
    /// Whoever lacks this key is refused.
    pub api_key: Option<String>,
    /// How many requests may wait.
    pub queue: usize,
    /// Memory budget in bytes for sequences kept for later requests; none for a share of the free memory.
    pub cache_bytes: Option<u64>,
    /// How the model was loaded; clients load others in the same way.
    pub request: ModelRequest,
    /// Folders in which clients find models, besides the usual places.
    pub model_folders: Vec<String>,
    /// Whether clients may follow the requests of others.
    pub watch: bool,
    /// How clients that are gone are noticed.
    pub heartbeat: Heartbeat,
}

impl Options {
    /// Options with these settings, and otherwise the usual ones.
    pub fn new(defaults: Settings) -> Self {
        Self {
            defaults,
            seeded: false,
            max_tokens: None,
            api_key: None,
            queue: 128,
            cache_bytes: None,
            request: ModelRequest::default(),
            model_folders: Vec::new(),
            watch: true,
            heartbeat: Heartbeat::default(),
        }
    }
}

/// A server that answers. It ends with [`Self::stop`].
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stop: Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// What all requests share.
struct Shared {
    encoder: PromptEncoder,
    info: ModelInfo,
    entry: ModelEntry,
    tokenizer_info: TokenizerInfo,
    options: Options,
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    /// Set when the worker must end the current job.
    ends: Arc<AtomicBool>,
    /// Bodies that are read and made into tokens at the same time.
    planning: Arc<Semaphore>,
    /// Places for clients of `/engine`.
    clients: Arc<Semaphore>,
    models: Arc<Models>,
    watch: Arc<Watch>,
    /// Whether the server ends.
    stopped: Receiver<bool>,
}

/// Max bodies that are made into tokens at the same time.
const MAX_PLANNING: usize = 4;

/// Starts to serve a model on a bound listener.
///
/// # Errors
/// Where the listener cannot be used, or the system gives no thread.
pub fn start(
    model: LoadedModel,
    listener: TcpListener,
    options: Options,
) -> std::io::Result<Server> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = Sender::new(false);
    let models = Models::new(
        model.share(),
        options.request.clone(),
        options.model_folders.clone(),
    );
    let turns = model.turns().clone();
    let shared = Arc::new(Shared {
        encoder: model.encoder(),
        entry: entry(&model, &options),
        tokenizer_info: tokenizer_info(&model),
        info: model.info,
        queue: Queue::new(options.queue),
        metrics: Arc::default(),
        ends: Arc::default(),
        planning: Arc::new(Semaphore::new(MAX_PLANNING)),
        clients: Arc::new(Semaphore::new(MAX_CLIENTS)),
        models: Arc::new(models),
        watch: Arc::new(Watch::new(options.watch)),
        stopped: stop.subscribe(),
        options,
    });
    let worker = Worker {
        decoder: model.decoder,
        queue: shared.queue.clone(),
        metrics: shared.metrics.clone(),
        ends: shared.ends.clone(),
        watch: shared.watch.clone(),
        turn: turns.turn(),
        model: shared.info.clone(),
        budget: shared.options.cache_bytes.unwrap_or_else(usual_cache),
    };
    let stopped = stop.subscribe();
    let router = router::router(shared.clone());
    let clients = shared.clients.clone();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.into()).spawn(body)
    };
    let threads = vec![
        spawn("skiplens-worker", Box::new(move || worker.run()))?,
        spawn(
            "skiplens-http",
            Box::new(move || {
                runtime.block_on(listen::serve(listener, router, stopped, clients));
                // Tokenizing that takes its time is not waited for.
                runtime.shutdown_background();
            }),
        )?,
    ];
    Ok(Server {
        address,
        shared,
        stop,
        threads,
    })
}

impl Server {
    /// What all rounds amount to that were generated so far.
    pub fn stats(&self) -> Stats {
        self.shared.metrics.stats()
    }

    /// Ends the server: the current job is cancelled, waiting clients get an error, connections are closed.
    pub fn stop(self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        self.shared.queue.close();
        self.stop.send_replace(true);
        for thread in self.threads {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A quarter of the memory that is free, at most 4 GB.
fn usual_cache() -> u64 {
    const MAX: u64 = 4 << 30;
    memory::available().map_or(MAX / 4, |free| (free / 4).min(MAX))
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn entry(model: &LoadedModel, options: &Options) -> ModelEntry {
    let (config, info) = (&model.info.config, &model.info);
    let matrices = model.decoder.model().matrices();
    ModelEntry {
        id: info.name.clone(),
        object: "model",
        created: now(),
        owned_by: "skiplens",
        max_model_len: config.context_length,
        meta: ModelMeta {
            n_vocab: config.vocab_size,
            n_ctx_train: config.context_length,
            n_embd: config.hidden_size,
            n_layer: config.num_layers,
            n_params: matrices.iter().map(|matrix| matrix.weights).sum(),
            size: info.weight_bytes,
            exit_layer: options.defaults.exit_layer,
            num_speculations: options.defaults.num_speculations,
        },
    }
}

fn tokenizer_info(model: &LoadedModel) -> TokenizerInfo {
    let encoder = model.encoder();
    let piece = |id| Some(encoder.tokenizer.as_ref()?.piece(id));
    let bos = encoder
        .tokenizer
        .as_ref()
        .and_then(|tokenizer| tokenizer.bos());
    let eos = encoder
        .tokenizer
        .as_ref()
        .and_then(|tokenizer| tokenizer.eos());
    let eos = eos.or(model.decoder.end_tokens().first().copied());
    let eos_token = eos.and_then(piece);
    TokenizerInfo {
        bos_token: bos.and_then(piece),
        pad_token: eos_token.clone(),
        eos_token,
        chat_template: encoder
            .template
            .map(|template| template.source().to_owned()),
    }
}
