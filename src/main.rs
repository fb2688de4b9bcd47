//! The `bittrue` binary.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match bittrue::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{:?}", miette::Report::new(error));
            ExitCode::FAILURE
        }
    }
}
