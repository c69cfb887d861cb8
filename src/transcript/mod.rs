//! Journals of sessions: save, resume, replay, export.
//!
//! A session is written as it happens, one JSON object per line ([`line`]). Callers append [`Entry`]s to a [`Journal`];
//! a file is read back as a [`Session`]:
//!
//! ```text
//! Entry ──Journal──▶ lines of a file ──load──▶ Session ──▶ Replay
//!                                                 │   └──▶ export: Markdown, HTML, ANSI, SVG, CSV, JSON
//!                    import of `generate --json` ─┘
//! ```
//!
//! Files are append-only: a regenerated or edited turn stays in the file, and a later line drops it.
//! All statistics come from [`crate::engine::decode::Stats`].

mod clock;
mod entry;
mod error;
pub mod export;
mod import;
mod journal;
pub mod line;
pub mod origin_style;
mod read;
mod recorder;
mod replay;
mod save;
mod serialise;
mod session;
mod store;
mod summary;
mod trash;
mod turn;
mod validate;

pub use clock::{Zone, local_minutes, moment, now_ms};
pub use entry::{
    Detail, Entry, Lens, Mode, ModelRecord, Outcome, Prefill, PromptForm, Race, RunEnd,
};
pub use error::{Error, Result};
pub use import::import;
pub use journal::Journal;
pub use read::{Loaded, load, salvage};
pub use recorder::Recorder;
pub use replay::{Replay, ReplayEvent};
pub use save::{save, write_file};
pub use session::Session;
pub use store::{LAST, Store};
pub use summary::{Hit, Summary};
pub use trash::{Removed, TRASH_KEEPS};
pub use turn::{Answer, Run, Turn};
pub use validate::{event as check_event, model as check_model, whole_round as check_round};

pub use crate::engine::weights::fingerprint;

#[cfg(test)]
pub(crate) mod tests;
