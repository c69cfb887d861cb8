//! Failures of commands: one message and an exit status.

use super::output;
use crate::error_text;
use clap::error::ErrorKind;
use color_eyre::config::{HookBuilder, Theme};
use color_eyre::eyre::Report;
use std::process::ExitCode;

/// Exit status for invalid input.
const BAD_INPUT: u8 = 2;
/// Status of a measurement or check that found a fault: texts that differ, missing cells, a server that does not
/// answer.
pub const FOUND_FAULT: u8 = 1;
/// Status of a measurement that was interrupted: the same command resumes it. It is `EX_TEMPFAIL` of sysexits.h.
pub const INTERRUPTED: u8 = 75;

/// Why a command failed.
pub enum Failure {
    /// The command line does not parse, or asks for help.
    Clap(Box<clap::Error>),
    /// The command line parses but is invalid.
    Usage(String),
    Command(Report),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Clap(Box::new(error))
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Command(report)
    }
}

impl Failure {
    /// Prints the message and returns the exit status.
    pub fn end(self) -> ExitCode {
        match self {
            Self::Clap(error) => end_of_clap(&error),
            Self::Usage(words) => bad_input(&words),
            Self::Command(report) => match report.downcast_ref() {
                Some(output::Error::Closed) => end_of_closed_pipe(),
                _ => bad_input(&error_text::report(&report)),
            },
        }
    }
}

fn bad_input(words: &str) -> ExitCode {
    output::error(words);
    ExitCode::from(BAD_INPUT)
}

/// clap prints help, which has no untrusted text. Error messages quote the command line and go through the sink.
fn end_of_clap(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        if let Err(fault) = error.print().map_err(output::Error::from) {
            return Failure::Command(fault.into()).end();
        }
    } else {
        output::eprint(&error.render().to_string());
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Dies silently by SIGPIPE, as other programs do. Rust ignores the signal, so the write failed instead.
fn end_of_closed_pipe() -> ExitCode {
    #[cfg(unix)]
    // SAFETY: `SIG_DFL` is a valid action, and neither call takes a pointer to memory.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::raise(libc::SIGPIPE);
    }
    // 128 + SIGPIPE, as a shell reports it.
    ExitCode::from(141)
}

/// Reports panics without colours and through the sink: their messages may quote untrusted text.
pub fn report_panics() {
    let hooks = HookBuilder::default().theme(Theme::new()).try_into_hooks();
    let Ok((panics, reports)) = hooks else {
        return;
    };
    // Fails only if hooks are already installed.
    let _ = reports.install();
    std::panic::set_hook(Box::new(move |panic| {
        output::eprint(&format!("{}\n", panics.panic_report(panic)));
    }));
}
