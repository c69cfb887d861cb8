//! `skiplens transcript`: the sessions on disk, without the TUI.

mod play;
mod table;
mod trash;

use super::output::{self, ColorChoice};
use super::values;
use crate::safe_text::one_line;
use crate::transcript::export::{Format, ansi, describe};
use crate::transcript::origin_style::Paint;
use crate::transcript::{
    Entry, Error, Journal, LAST, Session, Store, Summary, TRASH_KEEPS, Zone, import, load, salvage,
    write_file,
};
use crate::tui;
use color_eyre::eyre::{Result, bail, eyre};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use table::Table;

/// How commands name a session.
const NAMING: &str = "SESSION is an id or an unambiguous part of one, `last` for the most recently written session, \
                      or the path of a journal or an exported JSON file.";

/// Browse, show, replay and export saved sessions.
#[derive(Debug, clap::Args)]
#[command(after_help = NAMING)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the sessions, newest first.
    List {
        /// Only those whose title, model or text contains these words.
        search: Vec<String>,
        /// List deleted sessions.
        #[arg(long, conflicts_with = "search")]
        trash: bool,
        /// Print JSON, one object per line.
        #[arg(long)]
        json: bool,
    },
    /// Print a session, coloured by the origin of its tokens.
    Show {
        /// An id or a part of one, `last`, or a path.
        #[arg(default_value = LAST)]
        session: String,
        /// Show rejected drafts in place, struck through.
        #[arg(long)]
        rejected: bool,
        /// Show a damaged file up to the damage.
        #[arg(long)]
        salvage: bool,
        #[arg(long, value_enum, default_value_t)]
        color: ColorChoice,
    },
    /// Write a session in another format.
    Export {
        /// An id or a part of one, `last`, or a path.
        #[arg(default_value = LAST)]
        session: String,
        /// The format; by default chosen by the file extension.
        #[arg(long, short, value_enum)]
        format: Option<Format>,
        /// The file to write; by default standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Replay a session in the terminal; no model is needed.
    Replay {
        /// An id or a part of one, `last`, or a path.
        #[arg(default_value = LAST)]
        session: String,
        /// Speed as a multiple of the original; `inf` plays everything at once.
        #[arg(long, default_value_t = 1.0, value_parser = values::speed)]
        speed: f64,
        /// Start after this many rounds.
        #[arg(long, default_value_t = 0, value_parser = values::count)]
        from: usize,
        /// Replay on the screen of the playground: pause, step, seek, inspect tokens.
        #[arg(long, conflicts_with = "color")]
        screen: bool,
        #[arg(long, value_enum, default_value_t)]
        color: ColorChoice,
    },
    /// Import a file: output of `generate --json`, exported JSON, or a journal, even a damaged one.
    Import {
        /// The file, which is left unchanged.
        file: PathBuf,
        /// Title of the session.
        #[arg(long)]
        title: Option<String>,
    },
    /// Set the title of a session.
    Rename {
        /// An id or a part of one, or `last`.
        session: String,
        /// The new title; if empty, the start of the conversation serves as title.
        title: String,
    },
    /// Move sessions to the trash.
    Delete {
        /// Ids or parts of them, or `last`.
        #[arg(required = true, value_name = "SESSION")]
        sessions: Vec<String>,
    },
    /// Restore a session from the trash.
    Restore {
        /// An id or a part of one, or `last` for the most recently deleted session.
        session: String,
    },
    /// Deleted sessions, removed for good after 30 days. Without a command, list them.
    Trash {
        #[command(subcommand)]
        command: Option<trash::Command>,
    },
}

/// Runs the command.
///
/// # Errors
/// If a session cannot be found, read or written; the error is for the user.
pub fn run(args: Args) -> Result<ExitCode> {
    match args.command {
        Command::Replay {
            session,
            speed,
            from,
            screen: true,
            ..
        } => tui::replay(read(&Store::open()?, &session)?, speed, from),
        command => dispatch(command).map(|()| ExitCode::SUCCESS),
    }
}

fn dispatch(command: Command) -> Result<()> {
    let store = Store::open()?;
    // A failed removal is retried at the next call.
    drop(store.empty_trash(TRASH_KEEPS));
    match command {
        Command::List {
            search,
            trash,
            json,
        } => list(&store, &search.join(" "), trash, json),
        Command::Show {
            session,
            rejected,
            salvage,
            color,
        } => show(&store, &session, rejected, salvage, color.paint()),
        Command::Export {
            session,
            format,
            output,
            force,
        } => export(&store, &session, format, output.as_deref(), force),
        Command::Replay {
            session,
            speed,
            from,
            color,
            ..
        } => play::play(read(&store, &session)?, speed, from, color.paint()),
        Command::Import { file, title } => import_file(&store, &file, title),
        Command::Rename { session, title } => Ok(store.rename(&store.find(&session)?, &title)?),
        Command::Delete { sessions } => sessions
            .iter()
            .try_for_each(|session| delete(&store, session)),
        Command::Restore { session } => trash::restore(&store, &session),
        Command::Trash { command } => trash::run(&store, command),
    }
}

fn message(text: &str) -> Result<()> {
    Ok(output::stdout().message(text)?)
}

fn warn(notes: &[String]) {
    notes.iter().for_each(|note| output::note(note));
}

fn list(store: &Store, search: &str, trash: bool, json: bool) -> Result<()> {
    match () {
        () if trash => trash::list(store, json),
        () if search.is_empty() => print_list(&store.list()?, &store.sessions(), json),
        () => find(store, search, json),
    }
}

/// Prints search hits as they are found.
fn find(store: &Store, search: &str, json: bool) -> Result<()> {
    let table = Table::for_stdout();
    let mut found = 0;
    for hit in store.search(search)? {
        found += 1;
        if json {
            output::stdout().json_line(&hit.summary)?;
            continue;
        }
        let head = if found > 1 {
            String::new()
        } else {
            table.head()
        };
        let excerpt = if hit.excerpt.is_empty() {
            String::new()
        } else {
            format!("    {}\n", hit.excerpt)
        };
        message(&(head + &table.rows(&[hit.summary]) + &excerpt))?;
    }
    match found {
        0 if !json => message(&format!("no session contains “{}”\n", one_line(search))),
        _ => Ok(()),
    }
}

fn print_list(sessions: &[Summary], folder: &Path, json: bool) -> Result<()> {
    match json {
        true => Ok(sessions
            .iter()
            .try_for_each(|summary| output::stdout().json_line(summary))?),
        false if sessions.is_empty() => message(&format!("no sessions in {}\n", folder.display())),
        false => {
            let table = Table::for_stdout();
            message(&(table.head() + &table.rows(sessions)))
        }
    }
}

/// Reads the session with this name. JSON files are imported.
fn read(store: &Store, name: &str) -> Result<Session> {
    let path = store.find(name)?;
    match load(&path) {
        Err(Error::NotAJournal { .. })
            if path
                .extension()
                .is_some_and(|extension| extension == "json") =>
        {
            let (session, notes) = import(&path)?;
            warn(&notes);
            Ok(session)
        }
        other => Ok(other?),
    }
}

fn show(store: &Store, name: &str, rejected: bool, damaged: bool, paint: Paint) -> Result<()> {
    let session = if damaged {
        salvaged(&store.find(name)?)?
    } else {
        read(store, name)?
    };
    Ok(output::stdout().styled(&ansi(&session, paint, rejected, Zone::Local))?)
}

/// Reads as much of a journal as possible, and prints warnings.
fn salvaged(path: &Path) -> Result<Session> {
    let loaded = salvage(path)?;
    warn(&loaded.notes);
    if let Some(fault) = loaded.fault {
        output::note(&format!("reading stopped early: {fault}"));
    }
    Ok(loaded.session)
}

fn export(
    store: &Store,
    name: &str,
    format: Option<Format>,
    file: Option<&Path>,
    force: bool,
) -> Result<()> {
    if force && file.is_none() {
        output::note("--force has no effect: without --output no file is written");
    }
    let format = format
        .or_else(|| Format::of_path(file?))
        .ok_or_else(|| unnamed(file))?;
    let session = read(store, name)?;
    match file {
        None => print(format, &session),
        Some(path) => match write_file(path, format.export(&session).as_bytes(), force) {
            Err(Error::Exists { path }) => {
                bail!("{} already exists; --force replaces it", path.display())
            }
            outcome => Ok(outcome?),
        },
    }
}

/// Exports are data for other programs, except the one for terminals.
fn print(format: Format, session: &Session) -> Result<()> {
    let mut out = output::stdout();
    match format {
        Format::Ansi => out.styled(&ansi(session, Paint::Colour, false, Zone::Utc))?,
        _ => out.data(&format.export(session))?,
    }
    Ok(())
}

/// The error if no format is given.
fn unnamed(output: Option<&Path>) -> color_eyre::Report {
    let formats = Format::ALL
        .map(|format| describe::serde_name(&format))
        .join(", ");
    match output {
        None => eyre!(
            "name a format with --format ({formats}), or a file with a known extension with --output"
        ),
        Some(path) => eyre!(
            "the extension of {} names no format; use --format ({formats})",
            path.display()
        ),
    }
}

fn import_file(store: &Store, file: &Path, title: Option<String>) -> Result<()> {
    let session = match salvaged(file) {
        Ok(session) => session,
        Err(error) if matches!(error.downcast_ref(), Some(Error::NotAJournal { .. })) => {
            let (session, notes) = import(file)?;
            warn(&notes);
            session
        }
        Err(error) => return Err(error),
    };
    let mut journal = Journal::adopt(store, session);
    journal.append(Entry::Title(
        title.unwrap_or_else(|| journal.session().display_title()),
    ))?;
    journal.write_now()?;
    let path = journal.path().to_owned();
    journal.close()?;
    message(&format!(
        "imported as {}\n",
        path.file_stem().unwrap_or_default().to_string_lossy()
    ))
}

fn delete(store: &Store, name: &str) -> Result<()> {
    let path = store.delete(name)?;
    let id = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    message(&format!(
        "deleted; `skiplens transcript restore {}` restores it\n",
        shell_words::quote(&id)
    ))
}
