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

/// How a session is named, wherever a command takes one.
const NAMING: &str = "SESSION is an id or a part of one that fits no other, `last` for the session that was written \
                      to last, or the path of a journal or an exported JSON file.";

/// Browse, show, replay and export saved sessions.
#[derive(Debug, clap::Args)]
#[command(after_help = NAMING)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the sessions, the newest first.
    List {
        /// Only those whose title, model or text holds these words.
        search: Vec<String>,
        /// List what was deleted.
        #[arg(long, conflicts_with = "search")]
        trash: bool,
        /// Print JSON, one object a line.
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
        /// Of a broken file, show what comes before the damage.
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
        /// The format; else the ending of the file decides.
        #[arg(long, short, value_enum)]
        format: Option<Format>,
        /// The file to write; standard output without one.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace the file if it exists.
        #[arg(long)]
        force: bool,
    },
    /// Play a session again in the terminal; no model is needed.
    Replay {
        /// An id or a part of one, `last`, or a path.
        #[arg(default_value = LAST)]
        session: String,
        /// How many times as fast as it was; `inf` for at once.
        #[arg(long, default_value_t = 1.0, value_parser = values::speed)]
        speed: f64,
        /// Begin after this many rounds.
        #[arg(long, default_value_t = 0, value_parser = values::count)]
        from: usize,
        /// Play it on the screen of the playground: pause, step, scrub, inspect tokens.
        #[arg(long, conflicts_with = "color")]
        screen: bool,
        #[arg(long, value_enum, default_value_t)]
        color: ColorChoice,
    },
    /// Add a file to the sessions: what `generate --json` prints, an exported JSON, or a journal, whole or damaged.
    Import {
        /// The file, which stays as it is.
        file: PathBuf,
        /// Title of the session.
        #[arg(long)]
        title: Option<String>,
    },
    /// Give a session a title.
    Rename {
        /// An id or a part of one, or `last`.
        session: String,
        /// The new title; an empty one leaves the beginning of the conversation.
        title: String,
    },
    /// Move sessions to the trash.
    Delete {
        /// Ids or parts of them, or `last`.
        #[arg(required = true, value_name = "SESSION")]
        sessions: Vec<String>,
    },
    /// Take a session back from the trash.
    Restore {
        /// An id or a part of one, or `last` for the one that was deleted last.
        session: String,
    },
    /// What was deleted; after 30 days it is gone. Without a command, list it.
    Trash {
        #[command(subcommand)]
        command: Option<trash::Command>,
    },
}

/// Runs the command.
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
    // What cannot be removed today is tried again next time.
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
        Command::Import { file, title } => bring_in(&store, &file, title),
        Command::Rename { session, title } => Ok(store.rename(&store.find(&session)?, &title)?),
        Command::Delete { sessions } => sessions
            .iter()
            .try_for_each(|session| delete(&store, session)),
        Command::Restore { session } => trash::restore(&store, &session),
        Command::Trash { command } => trash::run(&store, command),
    }
}

fn say(text: &str) -> Result<()> {
    Ok(output::stdout().say(text)?)
}

fn warn(notes: &[String]) {
    notes.iter().for_each(|note| output::note(note));
}

fn list(store: &Store, search: &str, trash: bool, json: bool) -> Result<()> {
    match () {
        () if trash => trash::list(store, json),
        () if search.is_empty() => tell(&store.list()?, &store.sessions(), json),
        () => find(store, search, json),
    }
}

/// Tells what a search finds as it is found.
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
        say(&(head + &table.rows(&[hit.summary]) + &excerpt))?;
    }
    match found {
        0 if !json => say(&format!("no session holds “{}”\n", one_line(search))),
        _ => Ok(()),
    }
}

fn tell(sessions: &[Summary], folder: &Path, json: bool) -> Result<()> {
    match json {
        true => Ok(sessions
            .iter()
            .try_for_each(|summary| output::stdout().json_line(summary))?),
        false if sessions.is_empty() => say(&format!("no sessions in {}\n", folder.display())),
        false => {
            let table = Table::for_stdout();
            say(&(table.head() + &table.rows(sessions)))
        }
    }
}

/// The session that `name` means; JSON files are imported.
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

/// What can be read of a journal, with warnings.
fn salvaged(path: &Path) -> Result<Session> {
    let loaded = salvage(path)?;
    warn(&loaded.notes);
    if let Some(fault) = loaded.fault {
        output::note(&format!("reading ended early: {fault}"));
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
                bail!("{} exists already; --force replaces it", path.display())
            }
            outcome => Ok(outcome?),
        },
    }
}

/// An export is data for other programs, but for the format that is made for terminals.
fn print(format: Format, session: &Session) -> Result<()> {
    let mut out = output::stdout();
    match format {
        Format::Ansi => out.styled(&ansi(session, Paint::Colour, false, Zone::Utc))?,
        _ => out.data(&format.export(session))?,
    }
    Ok(())
}

/// What to say where nothing tells the format.
fn unnamed(output: Option<&Path>) -> color_eyre::Report {
    let formats = Format::ALL
        .map(|format| describe::serde_name(&format))
        .join(", ");
    match output {
        None => eyre!(
            "name a format with --format ({formats}), or a file with its ending with --output"
        ),
        Some(path) => eyre!(
            "the ending of {} names no format; --format does: {formats}",
            path.display()
        ),
    }
}

fn bring_in(store: &Store, file: &Path, title: Option<String>) -> Result<()> {
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
    say(&format!(
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
    say(&format!(
        "deleted; `skiplens transcript restore {id}` takes that back\n"
    ))
}
