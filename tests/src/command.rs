//! The command line of a program of cases, and their run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::runner::{self, Bench};
use crate::scenario::Case;

/// Which cases are run, and how.
#[derive(Args)]
pub struct Arguments {
    /// The netdrop to test.
    #[arg(long, value_name = "PATH", default_value = "netdrop")]
    netdrop: PathBuf,
    /// Runs the cases whose name contains this.
    #[arg(long, value_name = "SUBSTRING", default_value = "")]
    filter: String,
    /// Leaves out the cases whose name starts with one of these.
    #[arg(long, value_name = "PREFIX,…", value_delimiter = ',')]
    without: Vec<String>,
    /// Runs the cases of these names alone.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    cases: Vec<String>,
    /// Runs every Mth of the cases that are left, from the Nth on: several guests share one kernel's.
    #[arg(long, value_name = "N/M", value_parser = part, default_value = "1/1")]
    part: (usize, usize),
    /// Prints the names of the cases and ends.
    #[arg(long)]
    list: bool,
    /// Prints what was seen for each case, not only for those that failed.
    #[arg(long)]
    verbose: bool,
    /// Packets of a flood.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    flood: u64,
    /// Watches with bpftrace, or tracefs where that is missing, in place of netdrop: the scenarios prove themselves.
    #[arg(long, hide = true)]
    observe: bool,
}

impl Arguments {
    /// Runs what is wanted of `cases`.
    pub fn run(self, program: &str, cases: Vec<Case>) -> ExitCode {
        let cases = cases.into_iter().filter(|case| self.wants(case.name()));
        let (number, parts) = self.part;
        let cases = cases.skip(number - 1).step_by(parts);
        if self.list {
            cases.for_each(|case| println!("{}", case.name()));
            return ExitCode::SUCCESS;
        }
        if !nix::unistd::geteuid().is_root() {
            eprintln!("{program}: makes network namespaces, which needs root; run it with sudo");
            return ExitCode::from(2);
        }
        let Self { netdrop, flood, verbose, observe, .. } = &self;
        let bench = Bench { netdrop: netdrop.clone(), flood: *flood, verbose: *verbose, observe: *observe };
        match runner::run(&bench, cases) {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{program}: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        let left_out = self.without.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix));
        let is_named = self.cases.is_empty() || self.cases.iter().any(|one| one == name);
        name.contains(&self.filter) && is_named && !left_out
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
