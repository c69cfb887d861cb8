use std::process::ExitCode;

fn main() -> ExitCode {
    skiplens::cli::run()
}
