//! `skiplens generate`: continues or answers one prompt.

use super::args::{DecodingArgs, ModelArgs};
use super::interrupt::Interrupt;
use super::layerskip_args::LayerSkipArgs;
use super::output::{self, ColorChoice, Sink};
use super::{interactive, no_effect, values};
use crate::engine::decode::{Finished, Observer, Phase, Round, Session, Settings, StopReason};
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
    /// The prompt. Without it and without a file, it is read from standard input; on a terminal, prompts are read
    /// interactively.
    #[arg(short, long, value_parser = values::filled, value_name = "TEXT", conflicts_with = "prompt_file")]
    prompt: Option<String>,
    /// A file with the prompt; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Apply the model's chat template to the prompt.
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
    /// Include the alternatives at every position in the JSON.
    #[arg(long, requires = "json")]
    detail: bool,
    #[command(flatten)]
    layerskip: LayerSkipArgs,
}

/// Runs the command. Interrupting it keeps what was generated and ends with status 130.
pub fn run(args: GenerateArgs) -> eyre::Result<ExitCode> {
    if args.asks() {
        return run_interactive(&args);
    }
    let prompt = args.prompt()?;
    let (mut loaded, settings) = args.load()?;
    let ids = loaded.encode(&prompt)?;
    settings.validate(&loaded.info.config)?;
    let mut session = loaded.decoder.session()?;
    args.note_without_effect(&settings, &loaded);
    let mut printer = args.printer();
    let finished = answer(
        &args,
        &mut loaded,
        &mut session,
        &ids,
        &settings,
        &mut printer,
    )?;
    let Finished { stop, stats } = finished?;
    if args.json {
        let report = output::Report::new(&loaded.info, &prompt, &printer.rounds, &stats, &stop);
        printer.out.json(&report)?;
    }
    output::eprint(&(output::summary(ids.len(), &stats, &stop, &settings) + "\n"));
    Ok(if stop == StopReason::Cancelled {
        ExitCode::from(130)
    } else {
        ExitCode::SUCCESS
    })
}

/// Reads prompts and answers each independently, as LayerSkip does.
fn run_interactive(args: &GenerateArgs) -> eyre::Result<ExitCode> {
    let (mut loaded, settings) = args.load()?;
    settings.validate(&loaded.info.config)?;
    args.note_without_effect(&settings, &loaded);
    let mut session = loaded.decoder.session()?;
    let mut printer = args.printer();
    interactive::ask(|text| {
        let prompt = args.as_prompt(text);
        let Some(ids) = interactive::report_error(loaded.encode(&prompt)) else {
            return Ok(());
        };
        printer.rounds.clear();
        printer.interrupt.lower();
        let finished = answer(
            args,
            &mut loaded,
            &mut session,
            &ids,
            &settings,
            &mut printer,
        )?;
        if let Some(Finished { stop, stats }) = interactive::report_error(finished) {
            output::eprint(&(output::summary(ids.len(), &stats, &stop, &settings) + "\n"));
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Generates and prints the text. Distinguishes failures of decoding from failures of printing.
fn answer(
    args: &GenerateArgs,
    loaded: &mut LoadedModel,
    session: &mut Session,
    ids: &[u32],
    settings: &Settings,
    printer: &mut RoundPrinter,
) -> eyre::Result<Result<Finished>> {
    let finished = (loaded.decoder).run_to_end(session, ids, settings.clone(), printer);
    loaded.keep_estimates();
    if let Some(error) = printer.failed.take() {
        return Err(error.into());
    }
    if !args.json && finished.is_ok() {
        if printer.paint.is_none() {
            let paint = args.paint();
            let RoundPrinter { out, rounds, .. } = printer;
            rounds
                .iter()
                .try_for_each(|round| out.tokens(round, paint))?;
        }
        printer.out.message("\n")?;
    }
    Ok(finished)
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

    /// Whether prompts are read interactively from a terminal.
    fn asks(&self) -> bool {
        self.prompt.is_none()
            && self.prompt_file.is_none()
            && !self.json
            && interactive::at_terminal()
    }

    fn load(&self) -> eyre::Result<(LoadedModel, Settings)> {
        let loaded = LoadedModel::load(&self.model.request(), &mut output::loading_progress())?;
        let mut settings = self
            .decoding
            .chosen_settings(loaded.info.defaults, loaded.info.config.num_layers);
        settings.detail = self.detail;
        Ok((loaded, settings))
    }

    fn paint(&self) -> Paint {
        self.layerskip.color(self.color).paint()
    }

    fn printer(&self) -> RoundPrinter {
        let streams = !self.json && !self.layerskip.at_the_end();
        RoundPrinter {
            out: output::stdout(),
            paint: streams.then(|| self.paint()),
            rounds: Vec::new(),
            failed: None,
            interrupt: Interrupt::by_keyboard(),
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
                    "{}: the file is empty; it must contain the prompt",
                    path.display()
                ),
                _ => "the prompt from standard input is empty".into(),
            }));
        }
        Ok(self.as_prompt(text))
    }

    fn as_prompt(&self, text: String) -> Prompt {
        if !self.chat {
            return Prompt::Text(text);
        }
        let system = self.system.iter().map(|content| Message {
            role: Role::System,
            content: content.clone(),
        });
        let user = Message {
            role: Role::User,
            content: text,
        };
        Prompt::Chat(system.chain([user]).collect())
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

/// Prints and collects rounds until the run ends or is interrupted.
struct RoundPrinter {
    out: Sink<Stdout>,
    /// `None` if nothing is printed before the end.
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
