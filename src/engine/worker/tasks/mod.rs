//! Tasks of a run other than answering a prompt.

mod lens;
mod race;
mod score;

pub(super) use lens::lens;
pub(super) use race::race;
pub(super) use score::score;
