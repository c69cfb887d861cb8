//! `skiplens generate`: one prompt in, its continuation or answer out.

use super::args::{DecodingArgs, ModelArgs};
use super::output::{self, ColorChoice, Painter};
use crate::engine::decode::{Finished, Observer, Phase, Round, StopReason};
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
    let mut printer = RoundPrinter {
        painter: (!args.json).then_some(painter),
        rounds: Vec::new(),
        failed: None,
        interrupt: Interrupt::listen(),
    };
    let finished =
        (loaded.decoder).run_to_end(&mut session, &ids, settings.clone(), &mut printer)?;
    let Finished { stop, stats } = finished;
    if let Some(error) = printer.failed {
        return Err(Error::io("standard output", error).into());
    }
    let rounds = printer.rounds;
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

/// Prints rounds as they come and keeps them, until the run ends or is interrupted.
struct RoundPrinter {
    /// None where nothing is printed before the end.
    painter: Option<Painter>,
    rounds: Vec<Round>,
    /// Why printing ended the run.
    failed: Option<std::io::Error>,
    interrupt: Interrupt,
}

impl Observer for RoundPrinter {
    fn poll(&mut self, _next: Phase) -> ControlFlow<()> {
        match self.interrupt.is_raised() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn round(&mut self, round: Round) -> ControlFlow<()> {
        let mut stdout = std::io::stdout().lock();
        let printed = (self.painter.as_ref()).map(|painter| painter.round(&mut stdout, &round));
        self.rounds.push(round);
        match printed {
            Some(Err(error)) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Raised once the user interrupts the program.
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

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
