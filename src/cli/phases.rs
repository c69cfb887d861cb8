//! `skiplens benchmark` without a data set: the speed of the model on this machine, phase by phase.

use super::args::{DecodingArgs, ModelArgs};
use super::{no_effect, output};
use crate::engine::decode::Strategy;
use crate::engine::loaded_model::LoadedModel;
use crate::engine::prompt::{Message, Prompt, Role};
use crate::eval::end_to_end::{self, EndToEnd};
use crate::eval::phases::{self, BenchReport};
use crate::plural::counted;
use color_eyre::eyre::Result;
use serde::Serialize;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Serialize)]
struct Report {
    model: String,
    phases: BenchReport,
    end_to_end: EndToEnd,
}

/// The default prompt of the end-to-end part.
const PROMPT: &str = "Explain in a few sentences why the sky is blue.";
/// Default seconds of each of the two parts.
const SECONDS: f64 = 8.0;

/// How to measure.
pub struct PhaseArgs<'a> {
    pub model: &'a ModelArgs,
    pub decoding: &'a DecodingArgs,
    pub prompt: Option<String>,
    pub seconds: Option<f64>,
    pub json: bool,
}

/// Measures decode, verify, draft and prefill, and self-speculation against plain decoding.
pub fn run(args: PhaseArgs) -> Result<ExitCode> {
    let mut loaded = LoadedModel::load(&args.model.request(), &mut output::loading_progress())?;
    let mut settings = args
        .decoding
        .settings(loaded.info.defaults, loaded.info.config.num_layers);
    settings.strategy = Strategy::SelfSpeculative;
    settings.max_steps = args.decoding.max_steps().unwrap_or(128);
    settings.sampling.sample = args.decoding.sample().unwrap_or(false);
    settings.validate(&loaded.info.config)?;
    no_effect::note_decoding(args.decoding, &settings);
    no_effect::note_model(&settings, args.model.threads, &loaded.info);
    if args.decoding.strategy().is_some() {
        output::note(
            "--strategy has no effect: self-speculation and plain decoding are both measured",
        );
    }
    let message = Message {
        role: Role::User,
        content: args.prompt.unwrap_or_else(|| PROMPT.into()),
    };
    let chat = loaded.info.has_chat_template;
    let prompt = if chat {
        Prompt::Chat(vec![message])
    } else {
        Prompt::Text(message.content)
    };
    let ids = loaded.encode(&prompt)?;
    let budget = Duration::from_secs_f64(args.seconds.unwrap_or(SECONDS));
    let phases = phases::measure(loaded.decoder.model(), settings.draft_vocab, budget)?;
    let end_to_end = end_to_end::measure(&mut loaded.decoder, &ids, &settings, budget)?;
    let report = Report {
        model: loaded.info.name,
        phases,
        end_to_end,
    };
    if args.json {
        output::stdout().json(&report)?;
    } else {
        output::stdout().message(&table(&report)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn table(report: &Report) -> Result<String, std::fmt::Error> {
    let Report {
        model,
        phases,
        end_to_end,
    } = report;
    let mut out = String::new();
    let simd = phases
        .simd
        .as_ref()
        .map(|simd| format!(" · {simd}"))
        .unwrap_or_default();
    let megabytes = phases.weight_bytes as f64 / 1e6;
    writeln!(
        out,
        "{model} · {} · {megabytes:.0} MB · {}{simd}\n",
        phases.dtype, phases.device
    )?;
    writeln!(
        out,
        "{:<28}{:>10}{:>12}{:>14}",
        "phase", "ms", "tokens/s", "decode steps"
    )?;
    let mut row = |name: String, tokens: usize, seconds: f64| {
        let (ms, speed, steps) = (
            seconds * 1e3,
            tokens as f64 / seconds,
            seconds / phases.decode.seconds,
        );
        writeln!(out, "{name:<28}{ms:>10.2}{speed:>12.1}{steps:>14.2}")
    };
    row("decode".into(), 1, phases.decode.seconds)?;
    for verify in &phases.verify {
        row(
            format!("verify {}", counted(verify.phase.tokens, "token")),
            verify.phase.tokens,
            verify.phase.seconds,
        )?;
    }
    for draft in &phases.draft {
        let head = if draft.draft_vocab == 0 {
            String::new()
        } else {
            format!(", {}", counted(draft.draft_vocab, "token"))
        };
        row(
            format!("draft E {}{head}", draft.exit_layer),
            1,
            draft.seconds,
        )?;
    }
    row(
        format!("prefill {}", counted(phases.prefill.tokens, "token")),
        phases.prefill.tokens,
        phases.prefill.seconds,
    )?;
    let gigabytes = phases.decode_bandwidth / 1e9;
    write!(out, "\ndecode reads {gigabytes:.1} GB/s of weights")?;
    if let Some(read) = phases.read_bandwidth {
        write!(
            out,
            " of the {:.1} GB/s that it can read ({:.0} %)",
            read / 1e9,
            gigabytes * 1e11 / read
        )?;
    }
    let e = end_to_end;
    writeln!(
        out,
        "\n\n{} end to end, E {} K {}:",
        counted(e.tokens, "token"),
        e.exit_layer,
        e.num_speculations
    )?;
    writeln!(
        out,
        "  autoregressive    {:>8.1} tokens/s",
        e.autoregressive
    )?;
    writeln!(
        out,
        "  self-speculative  {:>8.1} tokens/s  ({:.2}×)",
        e.self_speculative, e.speed_up
    )?;
    if let (Some(rate), Some(length)) = (e.acceptance_rate, e.mean_accepted_length) {
        writeln!(
            out,
            "  acceptance {:.1} %, mean accepted length {length:.2}",
            rate * 100.0
        )?;
    }
    writeln!(out, "  same text: {}", if e.exact { "yes" } else { "no" })?;
    Ok(out)
}
