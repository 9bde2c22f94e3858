//! The command line: one file a command, each from flags to a plan; no logic of its own.

mod capture;
mod check;
mod details;
mod doctor;
mod exit;
mod explain;
mod filter;
mod generate;
mod log;
mod output;
mod privileges;
mod progress;
mod report;
mod run;
mod serve;
mod tcp;
mod top;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
pub use exit::Exit;

/// Where the Linux kernel drops packets, and why.
#[derive(Debug, Parser)]
#[command(name = "netdrop", version, max_term_width = 100, args_override_self = true)]
#[command(disable_help_flag = true)]
#[command(after_help = "\
Exit codes:
  0  done, also by Ctrl-C, SIGTERM or a closed pipe
  1  failed while running
  2  wrong usage
  3  what --fail-on names came true (run, doctor)
  4  this kernel or these privileges can't do it (`netdrop check` tells why)
run otherwise ends with its command's code: 128 and the signal's number when one ended it, 127 and 126 when it can't be
started")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more of what netdrop does, on standard error (twice: still more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print help (`netdrop help COMMAND`: every flag and value at length)
    #[arg(short, long, global = true, action = clap::ArgAction::HelpShort)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow drops live: a refreshing table on a terminal, a line a drop in a pipe
    Watch(Box<watch::Watch>),
    /// Look at drops on a full screen: sites, reasons, flows, devices, owners; live or from a recording
    Top(Box<top::Top>),
    /// Run a command and report what was dropped meanwhile; for load tests and CI
    Run(Box<run::Run>),
    /// Read a recording again: tables, a page, a flame graph; or compare two. Without privileges
    Report(report::Report),
    /// Count drops for as long as the machine runs: Prometheus metrics, logs; a daemon
    Serve(Box<serve::Serve>),
    /// TCP's own story: what it sent again, resets, connections, round-trip times, states; joined with drops
    Tcp(Box<tcp::Tcp>),
    /// From counters and drops of some seconds to causes and remedies, the worst first; changes nothing
    Doctor(doctor::Doctor),
    /// What this kernel and these privileges allow, line by line, with the consequence
    Check(check::Check),
    /// What a drop reason or a function means, and what to do about it
    Explain(explain::Explain),
    /// Write a completion script for a shell to standard output
    Completions(generate::Completions),
    /// Write the manual pages into a folder
    Man(generate::Man),
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    log::start(cli.verbose);
    crate::daemon::keep_little();
    let result = match cli.command {
        Command::Watch(watch) => watch.run(),
        Command::Top(top) => top.run(),
        Command::Run(run) => return run.run().unwrap_or_else(|error| exit::code(Err(error))),
        Command::Report(report) => report.run(),
        Command::Serve(serve) => serve.run(),
        Command::Tcp(tcp) => tcp.run(),
        Command::Doctor(doctor) => return doctor.run().unwrap_or_else(|error| exit::code(Err(error))),
        Command::Check(check) => check.run(),
        Command::Explain(explain) => explain.run(),
        Command::Completions(completions) => completions.run(&mut Cli::command()),
        Command::Man(man) => man.run(&Cli::command()),
    };
    exit::code(result)
}
