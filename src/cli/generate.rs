//! `skiplens generate`: one prompt in, its continuation or answer out.

use super::args::{DecodingArgs, ModelArgs};
use super::output::{self, ColorChoice, Painter};
use crate::engine::decode::{Decoder, Phase, Round, Session, Settings, Stats, StopReason, Watch};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::{Error, Result};
use clap::Args;
use color_eyre::eyre;
use std::io::{IsTerminal, Read, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Continue a text, or answer it with `--chat`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    decoding: DecodingArgs,
    /// The prompt. Without it and without a file, it is read from standard input.
    #[arg(short, long, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// A file that holds the prompt.
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Put the prompt through the model's chat template.
    #[arg(long)]
    chat: bool,
    /// The system message of a chat.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Colour the text by origin.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
    /// Print one JSON object with text, tokens, rounds and statistics instead.
    #[arg(long)]
    json: bool,
    /// Record the alternatives at every position in the JSON.
    #[arg(long, requires = "json")]
    detail: bool,
}

/// Runs the command. Interrupting it keeps what was generated and ends with status 130.
pub fn run(args: GenerateArgs) -> eyre::Result<ExitCode> {
    let prompt = args.prompt()?;
    let mut loaded = LoadedModel::load(&args.model.request(), &mut output::loading_progress())?;
    let mut settings = args
        .decoding
        .settings(loaded.info.defaults, loaded.info.config.num_layers);
    settings.detail = args.detail;
    let ids = loaded.encode(&prompt)?;
    let mut session = loaded.decoder.session()?;
    let painter = Painter::for_stdout(args.color);
    let mut print = |round: &Round| {
        if args.json {
            Ok(())
        } else {
            painter.round(&mut std::io::stdout().lock(), round)
        }
    };
    let (rounds, stats, stop) = generate(
        &mut loaded.decoder,
        &mut session,
        &ids,
        &settings,
        &mut print,
    )?;
    if args.json {
        let report = output::Report::new(&loaded.info, &prompt, &rounds, &stats, &stop);
        serde_json::to_writer_pretty(std::io::stdout().lock(), &report)?;
    }
    writeln!(std::io::stdout())?;
    writeln!(
        std::io::stderr(),
        "{}",
        output::summary(&stats, &stop, &settings)
    )?;
    Ok(if stop == StopReason::Cancelled {
        ExitCode::from(130)
    } else {
        ExitCode::SUCCESS
    })
}

impl GenerateArgs {
    fn prompt(&self) -> Result<Prompt> {
        let text = match (&self.prompt, &self.prompt_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) => {
                std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?
            }
            (None, None) => from_stdin()?,
        };
        if !self.chat {
            return Ok(Prompt::Text(text));
        }
        let system = self.system.iter().map(|content| Message {
            role: Role::System,
            content: content.clone(),
        });
        Ok(Prompt::Chat(
            system
                .chain([Message {
                    role: Role::User,
                    content: text,
                }])
                .collect(),
        ))
    }
}

fn from_stdin() -> Result<String> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Error::Setting(
            "there is no prompt; give --prompt TEXT, --prompt-file FILE or standard input".into(),
        ));
    }
    let mut text = String::new();
    stdin
        .read_to_string(&mut text)
        .map_err(|error| Error::io("standard input", error))?;
    Ok(text)
}

/// Generates until the run stops or is interrupted, handing every round to `print`.
fn generate(
    decoder: &mut Decoder,
    session: &mut Session,
    ids: &[u32],
    settings: &Settings,
    print: &mut dyn FnMut(&Round) -> std::io::Result<()>,
) -> Result<(Vec<Round>, Stats, StopReason)> {
    let mut interrupt = Interrupt::listen();
    let mut rounds = Vec::new();
    let mut run = match decoder.begin(session, ids, settings, &mut interrupt) {
        Err(Error::Cancelled) => return Ok((rounds, Stats::default(), StopReason::Cancelled)),
        begun => begun?,
    };
    loop {
        if let Some(stop) = run.stop() {
            return Ok((rounds, run.stats().clone(), stop.clone()));
        }
        match decoder.round(session, &mut run, settings, &mut interrupt) {
            Ok(round) => {
                print(&round).map_err(|error| Error::io("standard output", error))?;
                rounds.push(round);
            }
            Err(Error::Cancelled) => {
                return Ok((rounds, run.stats().clone(), StopReason::Cancelled));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Ends the run at the next checkpoint once the user interrupts it.
struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Without a signal handler the default action stays: the program ends at once.
    fn listen() -> Self {
        let flag = Arc::new(AtomicBool::new(false));
        let raised = flag.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            if runtime.is_ok_and(|runtime| runtime.block_on(tokio::signal::ctrl_c()).is_ok()) {
                raised.store(true, Ordering::Relaxed);
            }
        });
        Self(flag)
    }
}

impl Watch for Interrupt {
    fn checkpoint(&mut self, _next: Phase) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
