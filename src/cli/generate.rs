//! `skiplens generate`: one prompt in, its continuation or answer out.

use super::args::{DecodingArgs, ModelArgs};
use super::layerskip_args::LayerSkipArgs;
use super::output::{self, ColorChoice};
use super::{no_effect, values};
use crate::engine::decode::{Decoder, Phase, Round, Session, Settings, Stats, StopReason, Watch};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::{Error, Result};
use clap::Args;
use color_eyre::eyre;
use std::io::{IsTerminal, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
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
    #[arg(short, long, value_parser = values::filled, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// A file that holds the prompt; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Put the prompt through the model's chat template.
    #[arg(long)]
    chat: bool,
    /// The system message of a chat.
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Colour the text by origin; auto, the default, colours on a terminal unless NO_COLOR is set.
    #[arg(long, value_enum, value_name = "WHEN")]
    color: Option<ColorChoice>,
    /// Print one JSON object with text, tokens, rounds and statistics instead.
    #[arg(long)]
    json: bool,
    /// Record the alternatives at every position in the JSON.
    #[arg(long, requires = "json")]
    detail: bool,
    #[command(flatten)]
    layerskip: LayerSkipArgs,
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
    settings.validate(&loaded.info.config)?;
    args.note_without_effect(&settings, &loaded);
    let paint = args.layerskip.color(args.color).paint();
    let (mut out, streams) = (output::stdout(), !args.json && !args.layerskip.at_the_end());
    let mut print = |round: &Round| {
        if streams {
            out.tokens(round, paint)
        } else {
            Ok(())
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
        out.json(&report)?;
    } else {
        if !streams {
            rounds
                .iter()
                .try_for_each(|round| out.tokens(round, paint))?;
        }
        out.say("\n")?;
    }
    output::tell(&(output::summary(ids.len(), &stats, &stop, &settings) + "\n"));
    Ok(if stop == StopReason::Cancelled {
        ExitCode::from(130)
    } else {
        ExitCode::SUCCESS
    })
}

impl GenerateArgs {
    fn note_without_effect(&self, settings: &Settings, loaded: &LoadedModel) {
        no_effect::note_decoding(&self.decoding, settings);
        no_effect::note_model(settings, self.model.threads, &loaded.info);
        self.layerskip.note_without_effect(self.json);
        if self.json && self.color == Some(ColorChoice::Always) {
            output::note("--color has no effect: --json is not coloured");
        }
    }

    fn prompt(&self) -> Result<Prompt> {
        let text = match (&self.prompt, &self.prompt_file) {
            (Some(text), _) => text.clone(),
            (None, Some(path)) if path != Path::new("-") => {
                std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?
            }
            (None, _) => from_stdin()?,
        };
        if text.is_empty() {
            return Err(Error::Setting(match &self.prompt_file {
                Some(path) if path != Path::new("-") => format!(
                    "{}: the file is empty, but it is to hold the prompt",
                    path.display()
                ),
                _ => "the prompt from standard input is empty".into(),
            }));
        }
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
    print: &mut dyn FnMut(&Round) -> Result<(), output::Error>,
) -> eyre::Result<(Vec<Round>, Stats, StopReason)> {
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
                print(&round)?;
                rounds.push(round);
            }
            Err(Error::Cancelled) => {
                return Ok((rounds, run.stats().clone(), StopReason::Cancelled));
            }
            Err(error) => return Err(error.into()),
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
