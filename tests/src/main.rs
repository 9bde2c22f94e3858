//! The scenarios: see the library.

use std::process::ExitCode;

use clap::Parser;
use netdrop_tests::command::Arguments;
use netdrop_tests::{reasons, scenarios};

/// Scenario tests: real drops on a real kernel. Needs root; touches nothing but namespaces of its own.
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    run: Arguments,
    /// Prints which scenario produces which drop reason, as `docs/reasons.md` has it, and ends.
    #[arg(long)]
    reasons: bool,
    /// Is a server that doesn't read: a command for `netdrop run`.
    #[arg(long, hide = true)]
    unread: bool,
}

fn main() -> ExitCode {
    let command = Command::parse();
    if command.reasons {
        return print_reasons();
    }
    if command.unread {
        return scenarios::unread().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    command.run.run("netdrop-tests", scenarios::all())
}

fn print_reasons() -> ExitCode {
    match reasons::document(&scenarios::all()) {
        Ok(document) => {
            print!("{document}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("netdrop-tests: {error}");
            ExitCode::FAILURE
        }
    }
}
