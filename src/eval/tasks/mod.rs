//! Scores tasks without Python. The metrics equal those of the Language Model Evaluation Harness, to the last digit.

mod generate_until;
pub mod layers;
mod multiple_choice;
mod perplexity;
mod rows;
mod statistic;

pub use generate_until::UNTIL;
pub use rows::{Row, read};
pub use statistic::{Metric, TaskResult};

use crate::engine::decode::{Decoder, Observer, ScoreCache, Session, Settings, Strategy};
use crate::engine::loaded_model::{LoadedModel, PromptEncoder};
use crate::engine::{Error, Result};
use statistic::Mean;
use std::ops::ControlFlow;

/// Scores rows with one model.
pub struct Scorer<'m> {
    decoder: &'m mut Decoder,
    encoder: PromptEncoder,
    session: Session,
    cache: ScoreCache,
    settings: Settings,
}

impl<'m> Scorer<'m> {
    /// A scorer that decodes with `settings`. Early exit scores at its layer, the other strategies at full depth.
    ///
    /// # Errors
    /// As [`Decoder::session`].
    pub fn new(model: &'m mut LoadedModel, settings: Settings) -> Result<Self> {
        Ok(Self {
            encoder: model.encoder(),
            session: model.decoder.session()?,
            decoder: &mut model.decoder,
            cache: ScoreCache::default(),
            settings,
        })
    }

    /// Results of all rows, one for each kind of task. `done` is called after each row.
    ///
    /// # Errors
    /// If a row cannot be scored; the error contains its number.
    pub fn score(&mut self, rows: &[Row], done: &mut dyn FnMut()) -> Result<Vec<TaskResult>> {
        let mut choices = [Mean::default(), Mean::default()];
        let mut matches = generate_until::Matches::default();
        let mut perplexity = perplexity::Perplexity::default();
        for (at, row) in rows.iter().enumerate() {
            let numbered = |error: Error| Error::Setting(format!("row {}: {error}", at + 1));
            match row {
                Row::MultipleChoice(row) => {
                    let right = self.multiple_choice(row).map_err(numbered)?;
                    for (mean, right) in choices.iter_mut().zip(right) {
                        mean.add(f64::from(u8::from(right)));
                    }
                }
                Row::GenerateUntil(row) => {
                    let text = self.generate(row).map_err(numbered)?;
                    matches.add(row, &text)?;
                }
                Row::Text(text) => {
                    let loglikelihood = self.rolling(text).map_err(numbered)?;
                    perplexity.add(text, loglikelihood);
                }
            }
            done();
        }
        let [acc, acc_norm] = choices;
        let multiple_choice = TaskResult::new(
            "multiple_choice",
            acc.len(),
            vec![acc.metric("acc"), acc_norm.metric("acc_norm")],
        );
        let all = [multiple_choice, matches.result(), perplexity.result()];
        Ok(all.into_iter().filter(|task| task.rows > 0).collect())
    }

    /// Log-likelihood of `continuation` after `context`, which has at least one token.
    fn loglikelihood(&mut self, context: &[u32], continuation: &[u32]) -> Result<f64> {
        // The harness reserves one position for a generated token.
        let max = self.decoder.model().config().context_length - 1;
        let mut tokens = [context, continuation].concat();
        let cut = tokens.len().saturating_sub(max);
        tokens.drain(..cut);
        let from = context.len().saturating_sub(cut).max(1);
        let settings = &self.settings;
        let exit_layer = (settings.strategy == Strategy::EarlyExit).then_some(settings.exit_layer);
        let scores = self.decoder.score_text(
            &mut self.session,
            &mut self.cache,
            &tokens,
            exit_layer,
            0,
            &mut (),
        )?;
        // `f64` sums of these `f32` values are exact, so their order does not matter.
        Ok(scores[from - 1..]
            .iter()
            .map(|score| f64::from(score.logprob))
            .sum())
    }

    /// Tokens of a text, with BOS if `bos` is set and the model uses it.
    fn tokens(&self, text: &str, bos: bool) -> Result<Vec<u32>> {
        self.encoder.tokenizer()?.encode_written(text, bos)
    }

    /// The token before a text without context.
    fn prefix_token(&self) -> Result<u32> {
        let tokenizer = self.encoder.tokenizer()?;
        let ends = self.decoder.end_tokens().first().copied();
        let prefix = tokenizer.bos().or(tokenizer.eos()).or(ends);
        prefix.ok_or_else(|| Error::Tokenizer("it has no token to begin a text with".into()))
    }
}

/// Collects the text of a run.
#[derive(Default)]
struct Text(String);

impl Observer for Text {
    fn round(&mut self, round: crate::engine::decode::Round) -> ControlFlow<()> {
        self.0.extend(round.kept().map(|token| token.text));
        ControlFlow::Continue(())
    }
}
