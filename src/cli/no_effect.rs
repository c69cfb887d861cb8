//! Notes about options that have no effect in combination with others.

use super::args::DecodingArgs;
use super::output::note;
use crate::app::Control;
use crate::engine::decode::{Controller, Settings, Strategy};
use crate::engine::loaded_model::ModelInfo;

/// Prints a note for each decoding option that has no effect under these settings.
pub fn note_decoding(args: &DecodingArgs, settings: &Settings) {
    decoding(args, settings)
        .iter()
        .for_each(|words| note(words));
}

/// Prints why the model runs on its device, if the program chose it, and a note for each option that has no effect.
pub fn note_model(settings: &Settings, threads: Option<usize>, info: &ModelInfo) {
    if let Some(reason) = &info.device_reason {
        note(&format!("the model runs on {} ({reason})", info.device));
    }
    if let Some(fault) = info.adapters_fault.as_ref().filter(|_| settings.adapter) {
        note(fault);
    }
    if threads.is_some() && !info.device.starts_with("cpu") {
        note(&format!(
            "--threads has no effect: the model runs on {}",
            info.device
        ));
    }
    let vocab = info.config.vocab_size;
    if let Some(reason) = settings.exceeds_vocabulary(&info.config) {
        note(&format!("--draft-vocab {} {reason}", settings.draft_vocab));
    }
    for id in &settings.stop_token_ids {
        if *id as usize >= vocab {
            note(&format!(
                "--stop-token-ids {id} has no effect: the vocabulary has {vocab} tokens"
            ));
        }
    }
}

/// One line per reason.
fn decoding(args: &DecodingArgs, settings: &Settings) -> Vec<String> {
    let off: Vec<(&str, &str)> = args
        .given()
        .into_iter()
        .filter(|control| !control.has_effect(settings) && !is_off(*control, settings))
        .filter_map(|control| Some((control.flag()?, reason(control, settings))))
        .collect();
    let mut reasons: Vec<&str> = Vec::new();
    for (_, reason) in &off {
        if !reasons.contains(reason) {
            reasons.push(reason);
        }
    }
    let mut lines: Vec<String> = reasons
        .into_iter()
        .map(|reason| {
            let options: Vec<&str> = off
                .iter()
                .filter(|(_, of)| *of == reason)
                .map(|(option, _)| *option)
                .collect();
            let verb = if options.len() == 1 { "has" } else { "have" };
            format!("{} {verb} no effect: {reason}", options.join(", "))
        })
        .collect();
    if args.overrides_auto() && settings.strategy == Strategy::SelfSpeculative {
        lines.push(
            "--controller auto has no effect: exit layer and speculations are as given".into(),
        );
    }
    if args.sample() == Some(true) && settings.sampling.greedy() {
        lines.push("--sample has no effect: temperature 0 is greedy".into());
    }
    lines
}

/// Whether the given value is neutral, so that no note is needed.
fn is_off(control: Control, settings: &Settings) -> bool {
    let sampling = &settings.sampling;
    match control {
        Control::Temperature => sampling.temperature == 0.0,
        Control::TopK => sampling.top_k == 0,
        Control::TopP => sampling.top_p == 1.0,
        Control::MinP => sampling.min_p == 0.0,
        Control::DraftVocab => settings.draft_vocab == 0,
        Control::Tree => settings.tree == 0,
        Control::Adapter => !settings.adapter,
        _ => false,
    }
}

fn reason(control: Control, settings: &Settings) -> &'static str {
    let of_drafts = matches!(
        control,
        Control::Speculations
            | Control::Proposers
            | Control::Tree
            | Control::Controller
            | Control::Confidence
            | Control::DraftVocab
            | Control::Adapter
            | Control::KvqReuse
            | Control::Coupling
    );
    let of_exits = matches!(
        control,
        Control::ExitLayer | Control::DraftVocab | Control::Adapter | Control::KvqReuse
    );
    let of_auto = matches!(
        control,
        Control::ExitLayer | Control::Speculations | Control::Tree
    );
    match settings.strategy {
        Strategy::Autoregressive if of_drafts => "autoregressive decoding drafts nothing",
        Strategy::EarlyExit if of_drafts => "early exit drafts nothing",
        Strategy::SelfSpeculative if of_auto && settings.controller == Controller::Auto => {
            "the controller chooses"
        }
        Strategy::SelfSpeculative if control == Control::Confidence => {
            "another controller is chosen"
        }
        Strategy::SelfSpeculative if of_exits => "only lookup drafts",
        _ => "decoding is greedy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{argv, command};
    use crate::engine::weights::ModelDefaults;
    use clap::FromArgMatches;
    use std::ffi::OsString;

    /// The notes for a command line.
    fn notes(line: &str) -> Vec<String> {
        let args = std::iter::once("skiplens")
            .chain(line.split_whitespace())
            .map(OsString::from);
        let matches = command()
            .try_get_matches_from(argv::normalise(args, &command()))
            .unwrap();
        let args = DecodingArgs::from_arg_matches(&matches).unwrap();
        decoding(&args, &args.settings(ModelDefaults::default(), 8))
    }

    #[test]
    fn what_the_controller_chooses_has_no_effect() {
        assert_eq!(
            notes("--controller auto --tree 4"),
            ["--tree has no effect: the controller chooses"]
        );
    }

    #[test]
    fn options_without_effect_are_named_with_the_reason() {
        assert_eq!(
            notes("--strategy autoregressive -K 3 --kvq-reuse false --coupling rejection"),
            [
                "--num-speculations, --kvq-reuse, --coupling have no effect: autoregressive decoding drafts nothing"
            ]
        );
        assert_eq!(
            notes("--generation_strategy autoregressive --exit_layer 2 --num_speculations 3"),
            ["--num-speculations has no effect: early exit drafts nothing"]
        );
        assert_eq!(
            notes("--sample False --temperature 0.6 --top_p 0.9 --seed 7"),
            ["--temperature, --top-p, --seed have no effect: decoding is greedy"]
        );
        assert_eq!(
            notes("--proposers lookup -E 2 -K 3"),
            ["--exit-layer has no effect: only lookup drafts"]
        );
        assert_eq!(
            notes("--controller auto --confidence 0.4 -E 2 -K 3"),
            [
                "--confidence has no effect: another controller is chosen",
                "--controller auto has no effect: exit layer and speculations are as given"
            ]
        );
        assert_eq!(
            notes("--sample --temperature 0"),
            ["--sample has no effect: temperature 0 is greedy"]
        );
        assert_eq!(
            notes("--strategy early-exit -K 2 --sample false --seed 1"),
            [
                "--num-speculations has no effect: early exit drafts nothing",
                "--seed has no effect: decoding is greedy"
            ]
        );
    }

    #[test]
    fn nothing_is_said_of_options_that_count() {
        for line in [
            "",
            "-E 2 -K 3 --temperature 0.7 --top-k 5 --top-p 0.8 --min-p 0.1 --seed 3 --coupling rejection",
            "--strategy autoregressive --temperature 0.7 --seed 3",
            "--generation_strategy autoregressive --exit_layer -1 --num_speculations -1",
            "--sample false --top-k 0 --top-p 1 --temperature 0",
        ] {
            assert_eq!(notes(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn every_flag_is_an_option_of_the_command_line() {
        let command = command();
        for control in Control::ALL {
            let Some(flag) = control.flag() else { continue };
            let long = flag.trim_start_matches("--");
            assert!(
                command
                    .get_arguments()
                    .any(|option| option.get_long() == Some(long)),
                "{flag}"
            );
        }
    }
}
