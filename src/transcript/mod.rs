//! The journal of a session: save, resume, replay, export.
//!
//! A session is written as it happens, one JSON object a line ([`line`]). What a caller reports are [`Entry`]s, which
//! a [`Journal`] appends; what a file amounts to is a [`Session`]:
//!
//! ```text
//! Entry ──Journal──▶ lines of a file ──load──▶ Session ──▶ Replay
//!                                                 │   └──▶ export: Markdown, HTML, ANSI, SVG, CSV, JSON
//!                    import of `generate --json` ─┘
//! ```
//!
//! Files only grow: a regenerated or edited turn stays in the file, and a later line takes it back.
//! Statistics come from [`crate::engine::decode::Stats`] alone.

mod check;
mod clock;
mod entry;
mod error;
pub mod export;
mod fingerprint;
mod import;
mod journal;
pub mod line;
pub mod origin_style;
mod read;
mod recorder;
mod replay;
mod save;
mod session;
mod store;
mod summary;
mod trash;
mod written;

pub use crate::safe_text as text;
pub use clock::{Zone, local_minutes, moment, now_ms};
pub use entry::{Detail, Entry, Lens, Mode, ModelRecord, Outcome, Prefill, PromptForm, RunEnd};
pub use error::{Error, Result};
pub use fingerprint::fingerprint;
pub use import::import;
pub use journal::Journal;
pub use read::{Loaded, load, salvage};
pub use recorder::Recorder;
pub use replay::{Replay, ReplayEvent};
pub use save::{save, write_file};
pub use session::{Run, Session, Turn};
pub use store::{LAST, Store};
pub use summary::{Hit, Summary};
pub use trash::{Removed, TRASH_KEEPS};

#[cfg(test)]
pub(crate) mod tests;
