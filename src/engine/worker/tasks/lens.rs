//! What every layer would have predicted along a text, reported in pieces.

use crate::engine::decode::{CostModel, Decoder, Session};
use crate::engine::worker::RunEvent;
use crate::engine::worker::control::RunControl;
use crate::engine::{Error, Result};
use std::ops::Range;

/// Positions per report.
const PIECE: usize = 16;

/// Computes the lens over `positions` of the session's text. Cancelling ends it without an error.
pub fn lens(
    control: &mut RunControl<'_>,
    decoder: &mut Decoder,
    session: &mut Session,
    positions: Range<usize>,
    costs: &CostModel,
) -> Result<()> {
    let settings = control.newest();
    let of = positions.len();
    for start in positions.clone().step_by(PIECE) {
        let piece = start..positions.end.min(start + PIECE);
        match decoder.lens(session, piece, &settings, control) {
            Ok(rows) => control.report_lens(RunEvent::Lens {
                rows,
                of,
                costs: costs.clone(),
            }),
            Err(Error::Cancelled) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
