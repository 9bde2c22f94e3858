//! The `netdrop` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    netdrop::cli::main()
}
