//! The stages that run on this machine: each gives its counts, or an error that fails it as a whole.

use std::process::Command;

use anyhow::Result;

use crate::dist;
use crate::ebpf::{self, Checked};
use crate::tally::{Tally, failures, not_passed, skip_reason};
use crate::workspace::{self, Binaries};

/// Format, clippy, licences: each counts as one.
pub fn lint(notes: &mut Vec<String>) -> Tally {
    let mut tally = Tally::default();
    let mut check = |name: &str, command: &mut Command| match workspace::run(command) {
        Ok(()) => tally += Tally::PASSED,
        Err(error) => {
            notes.push(format!("{name} FAILED: {error:#}"));
            tally += Tally::FAILED;
        }
    };
    check("format", workspace::cargo().args(["fmt", "--all", "--check"]));
    check(
        "clippy",
        workspace::cargo()
            .args(["clippy", "--quiet", "--locked", "--all-targets"])
            .args(workspace::HOST_CRATES)
            .args(["--", "--deny", "warnings"]),
    );
    // Advisories are left out: their database comes from the network, and a new one would fail an old commit.
    if let Some(deny) = workspace::which("cargo-deny") {
        let mut command = Command::new(deny);
        command.current_dir(workspace::root());
        command.args(["--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
        check("cargo-deny", &mut command);
    } else {
        notes.push("skipped: cargo-deny is not installed, licences are not checked".to_owned());
        tally += Tally::SKIPPED;
    }
    tally
}

/// All tests beside the code.
pub fn unit() -> Result<Tally> {
    let mut tally = Tally::default();
    let mut command = workspace::cargo_for_tests("test");
    command.arg("--no-fail-fast");
    let status = workspace::tee(&mut command, |line| {
        if let Some(counted) = Tally::from_cargo_test(line) {
            tally += counted;
        }
    })?;
    // A build that fails counts no test.
    if !status.success() && tally.failed == 0 {
        tally += Tally::FAILED;
    }
    Ok(tally)
}

/// The committed object: its hashes, and the bytes where its compiler is at hand.
pub fn ebpf(notes: &mut Vec<String>) -> Result<Tally> {
    let mut tally = Tally::PASSED;
    match ebpf::check()? {
        Checked::Rebuilt => tally += Tally::PASSED,
        Checked::HashesOnly(why) => {
            notes.push(format!("rebuild skipped: {why}"));
            tally += Tally::SKIPPED;
        }
    }
    Ok(tally)
}

/// The scenarios on the running kernel; `None` where they weren't run, else the names of those that it has not passed.
pub fn scenarios(arguments: &[String], notes: &mut Vec<String>) -> Result<(Tally, Option<Vec<String>>)> {
    cases("netdrop-tests", arguments, notes)
}

/// netdrop beside its peers, on the running kernel.
pub fn peers(arguments: &[String], notes: &mut Vec<String>) -> Result<Tally> {
    Ok(cases("netdrop-peers", arguments, notes)?.0)
}

/// Runs a program of cases; the names of those that it has not passed.
fn cases(
    program: &str,
    arguments: &[String],
    notes: &mut Vec<String>,
) -> Result<(Tally, Option<Vec<String>>)> {
    if !workspace::is_root() {
        notes.push("skipped: real drops need root".to_owned());
        return Ok((Tally::SKIPPED, None));
    }
    let binaries = Binaries::build()?;
    let netdrop = &binaries.netdrop;
    let checks = [dist::check_size(netdrop).map(drop), dist::check_errors(netdrop)];
    // The cases bound their own waits; the limit is for the case that this fails too.
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", "1200"]).arg(binaries.test_program(program));
    command.arg("--netdrop").arg(netdrop).args(arguments);
    let mut lines = Vec::new();
    let status = workspace::tee(&mut command, |line| lines.push(line.to_owned()))?;
    let lines = lines.iter().map(String::as_str);
    let counted = lines.clone().rev().find_map(Tally::from_closing_line);
    notes.extend(lines.clone().filter_map(skip_reason).map(|reason| format!("skipped: {reason}")));
    let left = lines.clone().filter_map(not_passed).map(str::to_owned).collect();
    notes.extend(failures(lines));
    let Some(mut tally) = counted else {
        anyhow::bail!("{program} printed no closing line ({status})");
    };
    if !status.success() && tally.failed == 0 {
        tally += Tally::FAILED;
    }
    // A binary that is too large is shown to work all the same.
    for check in checks {
        match check {
            Ok(()) => tally += Tally::PASSED,
            Err(error) => {
                notes.push(format!("FAILED: {error:#}"));
                tally += Tally::FAILED;
            }
        }
    }
    Ok((tally, Some(left)))
}
