//! `skiplens completions` and `skiplens man`: files for shells and for `man`, from the definition of the command line.

use super::output::stdout;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use color_eyre::eyre::{Result, WrapErr};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command to this folder. Without it, the main page goes to standard output.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the completions of a shell.
///
/// # Errors
/// If standard output cannot be written.
pub fn completions(args: &CompletionsArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "skiplens",
        &mut script,
    );
    stdout().data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints or writes man pages.
///
/// # Errors
/// If standard output or the folder cannot be written.
pub fn man(args: &ManArgs) -> Result<ExitCode> {
    let mut command = super::command().disable_help_subcommand(true);
    command.build();
    match &args.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| write_pages(&command, folder))
                .wrap_err_with(|| format!("cannot write man pages to {}", folder.display()))?;
        }
        None => {
            let mut text = Vec::new();
            page(&command).render(&mut text)?;
            stdout().data(&String::from_utf8_lossy(&text))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &clap::Command, folder: &Path) -> io::Result<()> {
    page(command).generate_to(folder)?;
    command
        .get_subcommands()
        .try_for_each(|command| write_pages(command, folder))
}

/// The page of a command. All pages name the program and its version, which clap gives to the main one only.
fn page(command: &clap::Command) -> Man {
    Man::new(command.clone()).source(concat!("skiplens ", env!("CARGO_PKG_VERSION")))
}
