//! Scenario tests: real drops on a real kernel.
//!
//! Each case makes network namespaces of its own, sends exactly N packets that meet a known fate, and netdrop must
//! report exactly N at that reason, function, device and namespace.

mod bpf;
mod lab;
mod netdrop;
mod observer;
mod reasons;
mod report;
mod runner;
mod scenario;
mod scenarios;
mod trace;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Scenario tests: real drops on a real kernel. Needs root; touches nothing but namespaces of its own.
#[derive(Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
struct Arguments {
    /// The netdrop to test.
    #[arg(long, value_name = "PATH", default_value = "netdrop")]
    netdrop: PathBuf,
    /// Runs the cases whose name contains this.
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    filter: String,
    /// Leaves out the cases whose name starts with one of these.
    #[arg(long, value_name = "PREFIX,…", value_delimiter = ',')]
    without: Vec<String>,
    /// Runs every Mth of the cases that are left, from the Nth on: several guests share one kernel's.
    #[arg(long, value_name = "N/M", value_parser = part, default_value = "1/1")]
    part: (usize, usize),
    /// Prints the names of the cases and ends.
    #[arg(long)]
    list: bool,
    /// Prints which scenario produces which drop reason, as `docs/reasons.md` has it, and ends.
    #[arg(long)]
    reasons: bool,
    /// Prints what was seen for each case, not only for those that failed.
    #[arg(long)]
    verbose: bool,
    /// Packets of a flood.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    flood: u64,
    /// Is a server that doesn't read: a command for `netdrop run`.
    #[arg(long, hide = true)]
    unread: bool,
    /// Watches with bpftrace, or tracefs where that is missing, in place of netdrop: the scenarios prove themselves.
    #[arg(long, hide = true)]
    observe: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.reasons {
        return print_reasons();
    }
    if arguments.unread {
        return scenarios::unread().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let cases = scenarios::all().into_iter().filter(|case| {
        case.name().contains(&arguments.filter)
            && !arguments.without.iter().any(|prefix| !prefix.is_empty() && case.name().starts_with(prefix))
    });
    let (number, parts) = arguments.part;
    let cases = cases.skip(number - 1).step_by(parts);
    if arguments.list {
        cases.for_each(|case| println!("{}", case.name()));
        return ExitCode::SUCCESS;
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("netdrop-tests: makes network namespaces, which needs root; run it with sudo");
        return ExitCode::from(2);
    }
    let bench = runner::Bench {
        netdrop: arguments.netdrop,
        flood: arguments.flood,
        verbose: arguments.verbose,
        observe: arguments.observe,
    };
    match runner::run(&bench, cases) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("netdrop-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
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

/// `N/M`, both from 1.
fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers =
        text.split_once('/').and_then(|(number, parts)| Some((number.parse().ok()?, parts.parse().ok()?)));
    match numbers {
        Some((number, parts)) if (1..=parts).contains(&number) => Ok((number, parts)),
        _ => Err("a part is N/M, with N from 1 to M".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_numbered_from_one() {
        assert_eq!((part("1/1"), part("2/3")), (Ok((1, 1)), Ok((2, 3))));
        for wrong in ["0/2", "3/2", "1/0", "1", "x/2", ""] {
            assert!(part(wrong).is_err(), "{wrong}");
        }
    }
}
