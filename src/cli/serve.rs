//! `skiplens serve`: an HTTP server for other programs.

use super::args::{DecodingArgs, ModelArgs};
use super::{interrupt, no_effect, output, values};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::{Error, memory};
use crate::server::{self, Options};
use crate::{config_file, error_text};
use clap::Args;
use color_eyre::eyre::Result;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;

/// Environment variable with the port, if no option names one.
pub const PORT_VARIABLE: &str = "SKIPLENS_PORT";
/// The default port.
pub const DEFAULT_PORT: u16 = 8080;

/// Serve chat clients, benchmarks and evaluation harnesses over an OpenAI-compatible HTTP API.
///
/// Decoding options are the defaults for requests. A request can override them, including exit_layer, num_speculations,
/// strategy, draft_vocab and coupling. Playgrounds on other machines can use the engine too: skiplens --connect URL.
#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    /// Address to listen on. The default is reachable only from this machine; other addresses are open to the network.
    #[arg(long, env = "SKIPLENS_HOST", default_value_t = Ipv4Addr::LOCALHOST.into(), value_name = "ADDRESS")]
    host: IpAddr,
    /// Port; 0 picks a free one.
    #[arg(long, env = PORT_VARIABLE, default_value_t = DEFAULT_PORT, value_name = "PORT")]
    port: u16,
    /// Refuse requests without this bearer token.
    #[arg(long, env = "SKIPLENS_API_KEY", hide_env_values = true, value_parser = values::filled, value_name = "KEY")]
    api_key: Option<String>,
    /// Max waiting requests.
    #[arg(long, default_value_t = 128, value_parser = values::count, value_name = "N")]
    queue: usize,
    /// Forbid following the requests of others (skiplens --connect --watch), which otherwise needs only the API key.
    #[arg(long)]
    no_watch: bool,
    /// Memory for sequences kept for later requests, in MB [default: a quarter of the free memory, max 4096].
    #[arg(long, value_parser = values::count, value_name = "MB")]
    cache_memory: Option<usize>,
}

/// Runs the command. The address goes to standard output; an interrupt ends the server.
pub fn run(args: ServeArgs) -> Result<ExitCode> {
    let address = SocketAddr::new(args.host, args.port);
    // Before the model is loaded, so that a port in use is reported immediately.
    let listener = TcpListener::bind(address).map_err(|error| {
        let what = match error.kind() {
            io::ErrorKind::AddrNotAvailable => "--host chooses another address",
            _ => "--port chooses another port",
        };
        Error::Setting(format!("{address}: {}; {what}", error_text::io(&error)))
    })?;
    // The rest of the settings file is the playground's; a fault there need not stop a server.
    let model_folders = match config_file::load() {
        Ok(config) => config.model_folders,
        Err(error) => {
            output::note(&format!(
                "model_folders is not used: {}",
                error_text::report(&error)
            ));
            Vec::new()
        }
    };
    let request = args.model.request();
    let model = LoadedModel::load(&request, &mut output::loading_progress())?;
    let config = &model.info.config;
    let defaults = args
        .decoding
        .chosen_settings(model.info.defaults, config.num_layers);
    defaults.validate(config)?;
    no_effect::note_decoding(&args.decoding, &defaults);
    no_effect::note_model(&defaults, args.model.threads, &model.info);
    if let Some(fault) = &model.info.chat_template_fault {
        output::note(&format!("chats are refused: {fault}"));
    } else if !model.info.has_chat_template {
        output::note("chats are refused: this model has no chat template");
    }
    let options = Options {
        seeded: args.decoding.seed().is_some(),
        max_tokens: args.decoding.max_steps(),
        api_key: args.api_key,
        queue: args.queue,
        cache_bytes: args
            .cache_memory
            .map(|mb| (mb as u64).saturating_mul(1_000_000)),
        request,
        model_folders,
        watch: !args.no_watch,
        ..Options::new(defaults)
    };
    if !args.host.is_loopback() && options.api_key.is_none() {
        output::note(&format!(
            "{} is open: anyone who can reach this machine can use the model; --api-key KEY requires a key",
            args.host
        ));
    }
    output::eprint(&format!(
        "{} · {} · {}\n",
        model.info.name,
        memory::human(model.info.weight_bytes),
        model.info.device
    ));
    let server =
        server::start(model, listener, options).map_err(|error| Error::io("the server", error))?;
    output::stdout().message(&format!("http://{}/v1\n", server.address))?;
    interrupt::wait();
    server.stop();
    Ok(ExitCode::SUCCESS)
}
