//! Log-probabilities of a text.

use crate::engine::Result;
use crate::engine::decode::{Decoder, Session};
use crate::engine::worker::RunEvent;
use crate::engine::worker::control::RunControl;

/// Scores `tokens` from index `from`.
///
/// # Errors
/// As [`Decoder::score`], including cancelling, so that the client learns that there are no scores.
pub fn score(
    control: &mut RunControl<'_>,
    decoder: &mut Decoder,
    session: &mut Session,
    tokens: &[u32],
    from: usize,
    exit_layer: Option<usize>,
    top: usize,
) -> Result<()> {
    let positions = from..tokens.len();
    let scores = decoder.score(session, tokens, positions, exit_layer, top, control)?;
    control.report(RunEvent::Scores(scores));
    Ok(())
}
