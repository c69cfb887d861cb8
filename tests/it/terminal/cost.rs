//! The cost of the screen: the same prompt and seed with and without it.

use super::session::{Session, binary};
use crate::support;
use skiplens::engine::decode::Stats;
use skiplens::transcript::Store;
use std::path::Path;
use std::process::Command;

const PROMPT: &str = "Write a long story about a fox.";
const TOKENS: &str = "256";
const PAIRS: usize = 9;

/// Tokens per second without a screen.
fn headless(model: &Path) -> f64 {
    let mut command = Command::new(binary());
    command
        .args([
            "generate",
            "--chat",
            "--json",
            "--prompt",
            PROMPT,
            "--max-steps",
            TOKENS,
            "--model",
        ])
        .arg(model);
    let output = command.output().expect("the program");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stats: Stats = serde_json::from_value(json["stats"].clone()).expect("statistics");
    stats.tokens_per_second().expect("tokens")
}

/// Tokens per second in a terminal of 160 by 50 cells.
fn on_screen(model: &Path) -> f64 {
    let mut session = Session::start_with(model, 160, 50, &["--max-steps", TOKENS], &[]);
    session.wait("the model", |screen| screen.contains(" layers · "));
    session.type_(PROMPT);
    session.type_("\r");
    session.wait("the end", |screen| screen.contains("max tokens reached"));
    session.type_("\x04");
    session.child.wait().expect("an end");
    let kept = Store::at(session.home.path().join("skiplens"))
        .load("last")
        .expect("a journal");
    kept.stats().tokens_per_second().expect("tokens")
}

/// Run by hand, on a release build: `SKIPLENS_BINARY=target/release/skiplens cargo test --test it -- --ignored
/// --nocapture`. A machine under load makes single pairs meaningless, so the median of several counts.
#[test]
#[ignore = "measures, and takes minutes"]
fn the_screen_costs_little() {
    let Some(model) = support::smollm2() else {
        return;
    };
    let mut ratios = Vec::new();
    for pair in 0..PAIRS {
        let measure = |screen: bool| {
            if screen {
                on_screen(&model)
            } else {
                headless(&model)
            }
        };
        let first = pair % 2 == 0;
        let (a, b) = (measure(first), measure(!first));
        let (with, without) = if first { (a, b) } else { (b, a) };
        println!(
            "with {with:.1}  without {without:.1} tokens/s  ratio {:.3}",
            with / without
        );
        ratios.push(with / without);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("median ratio {median:.3}");
}
