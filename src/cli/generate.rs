//! `skiplens generate`: one prompt in, its continuation or answer out.

use super::args::{DecodingArgs, ModelArgs};
use super::interrupt::Interrupt;
use super::layerskip_args::LayerSkipArgs;
use super::output::{self, ColorChoice, Sink};
use super::{no_effect, values};
use crate::engine::decode::{Finished, Observer, Phase, Round, Settings, StopReason};
use crate::engine::loaded_model::LoadedModel;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::engine::{Error, Result};
use crate::transcript::origin_style::Paint;
use clap::Args;
use color_eyre::eyre;
use std::io::{IsTerminal, Read, Stdout};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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
    let streams = !args.json && !args.layerskip.at_the_end();
    let mut printer = RoundPrinter {
        out: output::stdout(),
        paint: streams.then_some(paint),
        rounds: Vec::new(),
        failed: None,
        interrupt: Interrupt::by_keyboard(),
    };
    let finished =
        (loaded.decoder).run_to_end(&mut session, &ids, settings.clone(), &mut printer)?;
    let Finished { stop, stats } = finished;
    if let Some(error) = printer.failed {
        return Err(error.into());
    }
    let (rounds, mut out) = (printer.rounds, printer.out);
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

/// Prints rounds as they come and keeps them, until the run ends or is interrupted.
struct RoundPrinter {
    out: Sink<Stdout>,
    /// None where nothing is printed before the end.
    paint: Option<Paint>,
    rounds: Vec<Round>,
    /// Why printing ended the run.
    failed: Option<output::Error>,
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
        let printed = self.paint.map(|paint| self.out.tokens(&round, paint));
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
