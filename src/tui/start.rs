//! Starts the playground from the command line.

use super::engine::Engine;
#[cfg(unix)]
use super::terminal::handlers;
use super::{End, play, run};
use crate::app::{Appearance, Options, Remote};
use crate::cli::args::DecodingArgs;
use crate::cli::output;
use crate::config_file;
use crate::engine::loaded_model::ModelRequest;
use crate::engine::weights::ModelDefaults;
use crate::engine::worker;
use crate::folders::expand_home;
use crate::remote::{Client, Mode, Target};
use crate::transcript::{Session, Store};
use color_eyre::Result;
use color_eyre::eyre::bail;
use std::io::IsTerminal;
use std::process::ExitCode;

/// Layers of the bundled model, which bound the exit layer until a model is loaded.
const LAYERS: usize = 30;

/// Opens the playground, on the engine of a server if there is a `target`.
///
/// # Errors
/// If there is no terminal, the settings file cannot be parsed, or the server cannot be reached.
pub fn start(
    request: ModelRequest,
    decoding: &DecodingArgs,
    resume: Option<String>,
    target: Option<Target>,
) -> Result<ExitCode> {
    let config = config_file::load()?;
    if let Some(name) = &resume {
        Store::open()?.find(&expand_home(name).to_string_lossy())?;
    }
    let watches = target
        .as_ref()
        .is_some_and(|target| target.mode == Mode::Watch);
    let engine = match target {
        Some(target) => Engine::Remote(Client::connect(target)?),
        None => Engine::from(worker::spawn()?),
    };
    // Last, so that faults of the options are reported wherever the program runs.
    need_terminal(
        "the playground needs a terminal; for plain output there is `skiplens generate`",
    )?;
    let remote = engine.remote();
    let remote = remote.map(|client| Remote::new(client.host.clone(), watches));
    let options = Options {
        request,
        remote,
        settings: decoding.chosen_settings(ModelDefaults::default(), LAYERS),
        // Neither a model's defaults nor a resumed session override them.
        user_set: decoding.given().into_iter().collect(),
        config,
        appearance: Appearance::from_env(|name| std::env::var(name).ok()),
        ..Options::default()
    };
    let (end, saved) = runtime()?.block_on(run(engine, options, resume))?;
    if saved && matches!(end, End::Quit) {
        output::note("`skiplens --resume` resumes this session");
    }
    Ok(status(end))
}

/// Replays a session on the screen of the playground, at `speed` times the original speed, starting after round `from`.
///
/// # Errors
/// As [`start`].
pub fn replay(session: Session, speed: f64, from: usize) -> Result<ExitCode> {
    need_terminal("a replay on the screen needs a terminal; without --screen it is plain text")?;
    let appearance = Appearance::from_env(|name| std::env::var(name).ok());
    let options = Options {
        config: config_file::load()?,
        appearance,
        ..Options::default()
    };
    Ok(status(
        runtime()?.block_on(play(options, session, speed, from))?,
    ))
}

/// The exit status. After a signal, the program dies by that signal, as if it had not caught it.
fn status(end: End) -> ExitCode {
    match end {
        End::Quit => ExitCode::SUCCESS,
        #[cfg(unix)]
        End::Signal(signal) => {
            handlers::die(signal);
            ExitCode::FAILURE
        }
        #[cfg(not(unix))]
        End::Signal(_) => ExitCode::from(130),
    }
}

fn need_terminal(otherwise: &'static str) -> Result<()> {
    match output::stdout().is_terminal() && std::io::stdin().is_terminal() {
        true => Ok(()),
        false => bail!(otherwise),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}
