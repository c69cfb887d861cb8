//! An HTTP server with an OpenAI-compatible API.
//!
//! ```text
//! connection ─ router ─ plan ──job──▶ queue ──▶ worker (one thread: decoder, pool of sequences)
//!                 ▲                                 │
//!                 └── answer (whole or stream) ◀── updates
//! ```
//!
//! Playgrounds on other machines get their own workers, which share the weights and take turns with this one
//! ([`remote`]).
//!
//! Requests are read, validated and tokenized outside the worker, which runs one job at a time. Dropping the receiver
//! of a job's updates cancels it within a round.

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

/// Options of a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Defaults for fields missing in requests.
    pub defaults: Settings,
    /// Whether the default seed was set explicitly; otherwise every request gets a random one.
    pub seeded: bool,
    /// Max tokens of a chat without a limit; `None` for all that fit in the context.
    pub max_tokens: Option<usize>,
    /// Required API key.
    pub api_key: Option<String>,
    /// Max number of waiting requests.
    pub queue: usize,
    /// Memory budget in bytes for sequences kept for later requests; `None` for a fraction of the free memory.
    pub cache_bytes: Option<u64>,
    /// How the model was loaded; clients load others in the same way.
    pub request: ModelRequest,
    /// Folders in which clients find models, besides the usual places.
    pub model_folders: Vec<String>,
    /// Whether clients may follow the requests of others.
    pub watch: bool,
    /// How vanished clients are detected.
    pub heartbeat: Heartbeat,
}

impl Options {
    /// Default options with these settings.
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

/// A running server. It ends with [`Self::stop`].
pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stop: Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// State shared by all requests.
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
    /// Limits the bodies that are read and tokenized at the same time.
    planning: Arc<Semaphore>,
    /// Limits the clients of `/engine`.
    clients: Arc<Semaphore>,
    models: Arc<Models>,
    watch: Arc<Watch>,
    /// Whether the server is shutting down.
    stopped: Receiver<bool>,
}

/// Max bodies tokenized at the same time.
const MAX_PLANNING: usize = 4;

/// Starts serving a model on a bound listener.
///
/// # Errors
/// If the listener cannot be used or a thread cannot be spawned.
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
                // Does not wait for slow tokenization.
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
    /// Totals over all rounds so far.
    pub fn stats(&self) -> Stats {
        self.shared.metrics.stats()
    }

    /// Shuts the server down: cancels the current job, fails waiting requests, closes connections.
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

/// A quarter of the free memory, at most 4 GB.
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
