//! Loads a model, continues a prompt, and marks every token by its origin.
//!
//! ```text
//! cargo run --release --example generate -- "Once upon a time"
//! ```

use skiplens::engine::Result;
use skiplens::engine::decode::{Observer, Origin, Round, Settings};
use skiplens::engine::loaded_model::{LoadedModel, ModelRequest};
use skiplens::engine::prompt::Prompt;
use std::io::Write;
use std::ops::ControlFlow;

/// Prints the tokens of each round when it finishes.
struct Printer;

impl Observer for Printer {
    fn round(&mut self, round: Round) -> ControlFlow<()> {
        for token in round.kept() {
            match token.origin {
                Origin::Accepted => print!("{}", token.text),
                Origin::Corrected => print!("[{}]", token.text),
                Origin::Bonus => print!("+{}", token.text),
                Origin::Plain | Origin::Prompt => print!("{}", token.text),
            }
        }
        #[expect(clippy::disallowed_methods, reason = "an example prints for itself")]
        match std::io::stdout().flush() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn main() -> Result<()> {
    let text = std::env::args().nth(1).unwrap_or("Once upon a time".into());
    // The bundled model; set `model` to a GGUF file, a Hugging Face folder or an id for another one.
    let mut model = LoadedModel::load(&ModelRequest::default(), &mut |_, _| {})?;
    let prompt = model.encode(&Prompt::Text(text))?;
    let settings = Settings {
        exit_layer: 6,
        num_speculations: 4,
        max_steps: 64,
        ..Settings::default()
    };
    let mut session = model.decoder.session()?;
    let finished = model
        .decoder
        .run_to_end(&mut session, &prompt, settings, &mut Printer)?;
    println!();
    let rate = finished.stats.acceptance_rate().unwrap_or_default();
    println!(
        "{} tokens in {} rounds, {:.0} % of the drafts accepted",
        finished.stats.tokens,
        finished.stats.rounds,
        100.0 * rate
    );
    Ok(())
}
