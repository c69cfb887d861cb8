//! `skiplens health`: whether a server answers, for health checks of containers and service managers.

use super::failure::FOUND_FAULT;
use super::output;
use super::serve::{DEFAULT_PORT, PORT_VARIABLE};
use crate::error_text;
use clap::Args;
use color_eyre::eyre::Result;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use ureq::Agent;

/// Max time for the server to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Check that a server answers; for health checks of containers.
///
/// Exits with status 1 if it does not. Requests /health, which needs no API key.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Address of the server.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into(), value_name = "ADDRESS")]
    host: IpAddr,
    /// Port of the server.
    #[arg(long, env = PORT_VARIABLE, default_value_t = DEFAULT_PORT, value_name = "PORT")]
    port: u16,
}

/// Runs the command.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &HealthArgs) -> Result<ExitCode> {
    let address = SocketAddr::new(args.host, args.port);
    // The server is local; a proxy for the hub would not reach it.
    let config = Agent::config_builder()
        .proxy(None)
        .timeout_global(Some(TIMEOUT));
    let agent = Agent::from(config.build());
    match agent.get(format!("http://{address}/health")).call() {
        Ok(_) => {
            output::stdout().message(&format!("{address} answers\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::error(&format!(
                "{address} does not answer: {}",
                error_text::http(&error)
            ));
            Ok(ExitCode::from(FOUND_FAULT))
        }
    }
}
