//! Tasks of a run other than answering a prompt.

mod lens;
mod race;
mod score;
mod sweep;

pub(super) use lens::lens;
pub(super) use race::race;
pub(super) use score::score;
pub(super) use sweep::sweep;
