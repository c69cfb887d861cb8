//! The trash: list, restore and remove deleted sessions.

use super::{message, print_list};
use crate::cli::{output, values};
use crate::plural::counted;
use crate::transcript::{Removed, Store};
use color_eyre::eyre::{Result, bail};
use std::io::{IsTerminal, stdin};
use std::time::Duration;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List deleted sessions, newest first, and their size.
    List {
        /// Print JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Restore sessions.
    Restore {
        /// Ids or parts of them, or `last` for the most recently deleted session.
        #[arg(required = true, value_name = "SESSION")]
        sessions: Vec<String>,
    },
    /// Remove deleted sessions for good.
    Empty {
        /// Only those deleted at least this many days ago.
        #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = values::days)]
        older_than: u64,
        /// Do not ask for confirmation.
        #[arg(long, short)]
        yes: bool,
    },
}

pub fn run(store: &Store, command: Option<Command>) -> Result<()> {
    match command {
        None => list(store, false),
        Some(Command::List { json }) => list(store, json),
        Some(Command::Restore { sessions }) => sessions
            .iter()
            .try_for_each(|session| restore(store, session)),
        Some(Command::Empty { older_than, yes }) => empty(store, older_than, yes),
    }
}

pub fn list(store: &Store, json: bool) -> Result<()> {
    let sessions = store.list_trash()?;
    print_list(&sessions, &store.trash(), json)?;
    if json || sessions.is_empty() {
        return Ok(());
    }
    let all = store.trash_older_than(Duration::ZERO)?;
    message(&format!(
        "\n{}; each is removed 30 days after its deletion\n",
        words(all)
    ))
}

pub fn restore(store: &Store, name: &str) -> Result<()> {
    let path = store.restore(name)?;
    message(&format!("restored {}\n", path.display()))
}

/// Empties the trash after confirmation.
fn empty(store: &Store, days: u64, yes: bool) -> Result<()> {
    let age = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
    let doomed = store.trash_older_than(age)?;
    if doomed.sessions == 0 {
        return message("nothing to remove\n");
    }
    if !yes && !sure(doomed)? {
        return message("nothing was removed\n");
    }
    message(&format!("removed {}\n", words(store.empty_trash(age)?)))
}

fn sure(doomed: Removed) -> Result<bool> {
    if !stdin().is_terminal() || !output::stdout().is_terminal() {
        bail!(
            "this removes {} for good; confirm with --yes",
            words(doomed)
        );
    }
    message(&format!("Remove {} for good? [y/N] ", words(doomed)))?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// `3 sessions, 1.2 MB`
fn words(removed: Removed) -> String {
    let Removed { sessions, bytes } = removed;
    let size = match bytes {
        0..100_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    format!("{}, {size}", counted(sessions, "session"))
}
