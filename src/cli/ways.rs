//! `skiplens bench --drafts`: compares ways to draft on prompts of several kinds.

use super::args::{DecodingArgs, ModelArgs};
use super::failure::INTERRUPTED;
use super::interrupt::Interrupt;
use super::no_effect;
use super::output::{self, SampleProgress};
use crate::engine::Error;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::eval::datasets::builtin_prompts;
use crate::eval::machine::{self, Machine};
use crate::eval::ways::{self, Asked, KindResult};
use crate::plural::counted;
use color_eyre::eyre::Result;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Kinds of built-in prompts to measure.
const KINDS: [&str; 4] = ["chat", "summary", "code", "maths"];
/// Default number of prompts of each kind.
const PROMPTS: usize = 3;
/// Default max tokens of an answer.
const MAX_STEPS: usize = 160;

/// What to compare.
pub struct WayArgs<'a> {
    pub model: &'a ModelArgs,
    pub decoding: &'a DecodingArgs,
    /// A file with one prompt per line.
    pub prompt_file: Option<PathBuf>,
    pub prompts: Option<usize>,
    pub repeats: usize,
    pub json: bool,
}

#[derive(Serialize)]
struct Report {
    model: String,
    machine: Machine,
    /// Load average before and after.
    load: [Option<f64>; 2],
    kinds: Vec<KindResult>,
}

/// Answers the prompts in every way and prints a table.
pub fn run(args: WayArgs) -> Result<ExitCode> {
    let texts = args.texts()?;
    let mut loaded = LoadedModel::load(&args.model.request(), &mut output::loading_progress())?;
    let mut settings = args
        .decoding
        .settings(loaded.info.defaults, loaded.info.config.num_layers);
    settings.max_steps = args.decoding.max_steps().unwrap_or(MAX_STEPS);
    settings.sampling.sample = args.decoding.sample().unwrap_or(false);
    settings.validate(&loaded.info.config)?;
    no_effect::note_model(&settings, args.model.threads, &loaded.info);
    let prompts = texts
        .into_iter()
        .map(|(kind, text)| {
            let ids = loaded.encode(&as_prompt(text, loaded.info.has_chat_template))?;
            Ok(Asked { kind, ids })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    if let Some(busy) = machine::busy() {
        output::note(&busy);
    }
    let (interrupt, mut bar) = (Interrupt::by_any_signal(), SampleProgress::new());
    let before = machine::load();
    let ways = ways::ways(&settings);
    let outcome = ways::compare(
        &mut loaded.decoder,
        &prompts,
        &ways,
        args.repeats.max(1),
        &|| interrupt.is_raised(),
        &mut |done, total| bar.show(done, total, ""),
    );
    bar.end();
    let kinds = match outcome {
        Err(Error::Cancelled) => return Ok(ExitCode::from(INTERRUPTED)),
        outcome => outcome?,
    };
    let report = Report {
        machine: Machine::of(loaded.decoder.model()),
        model: loaded.info.name,
        load: [before, machine::load()],
        kinds,
    };
    match args.json {
        true => output::stdout().json(&report)?,
        false => output::stdout().message(&table(&report)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl WayArgs<'_> {
    /// Kinds and texts of the prompts.
    fn texts(&self) -> Result<Vec<(String, String)>, Error> {
        let limit = self.prompts.unwrap_or(PROMPTS);
        let Some(path) = &self.prompt_file else {
            let all = builtin_prompts()?;
            let of = |kind: &'static str| {
                let own = all.iter().filter(move |(other, _)| other == kind);
                own.take(limit).cloned()
            };
            return Ok(KINDS.into_iter().flat_map(of).collect());
        };
        let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let texts: Vec<_> = lines
            .take(self.prompts.unwrap_or(usize::MAX))
            .map(|line| ("file".to_owned(), line.to_owned()))
            .collect();
        match texts.is_empty() {
            true => Err(Error::Setting(format!(
                "{}: the file has no prompts; it must have one per line",
                path.display()
            ))),
            false => Ok(texts),
        }
    }
}

fn as_prompt(text: String, chat: bool) -> Prompt {
    match chat {
        true => Prompt::Chat(vec![Message {
            role: Role::User,
            content: text,
        }]),
        false => Prompt::Text(text),
    }
}

fn table(report: &Report) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let machine = &report.machine;
    let simd = machine
        .simd
        .as_deref()
        .map_or(String::new(), |simd| format!(" · {simd}"));
    writeln!(
        out,
        "{} · {} · {}{simd}",
        report.model, machine.cpu, machine.device
    )?;
    for kind in &report.kinds {
        writeln!(
            out,
            "\n{:<28}{:>10}{:>12}{:>12}{:>12}",
            format!("{}, {}", kind.kind, counted(kind.prompts, "prompt")),
            "tokens/s",
            "speed-up",
            "accepted",
            "same text"
        )?;
        for way in &kind.ways {
            let accepted = way
                .acceptance_rate
                .map_or("–".into(), |rate| format!("{:.1} %", rate * 100.0));
            writeln!(
                out,
                "{:<28}{:>10.1}{:>11.2}×{:>12}{:>12}",
                way.way,
                way.tokens_per_second,
                way.speed_up,
                accepted,
                if way.same_text { "yes" } else { "no" }
            )?;
        }
    }
    Ok(out)
}
