//! `netdrop run --repeat --recording` twice, and `netdrop report` of both: exact counts, and a verdict that needs several runs.

use anyhow::{Context, Result, ensure};
use netdrop_tests::lab::{Folder, Lab, Skip};
use netdrop_tests::netdrop::{Ended, run_to_end};
use netdrop_tests::runner::Bench;
use netdrop_tests::scenario::{Case, System};
use serde_json::Value;

/// Runs of each recording: the fewest with which a change can be shown.
const RUNS: u64 = 4;

pub fn cases() -> Vec<Case> {
    vec![Case::System(System::new("report-compares-repeated-runs", compares))]
}

fn compares(bench: &Bench) -> Result<()> {
    let folder = Folder::create()?;
    let lab = Lab::alone()?;
    let (before, after, one) =
        (folder.file("before.jsonl"), folder.file("after.jsonl.zst"), folder.file("one"));
    record(bench, &lab, &before, RUNS, 20)?;
    record(bench, &lab, &after, RUNS, 200)?;
    record(bench, &lab, &one, 1, 20)?;

    let comparison = compared(bench, &[&before, &after])?;
    let row = comparison["rows"].as_array().context("rows")?.iter().find(|row| row["reason"] == "NO_SOCKET");
    let row = row.with_context(|| format!("no row of closed ports: {comparison}"))?;
    let counts = (row["before"]["count"].as_u64(), row["after"]["count"].as_u64());
    ensure!(counts == (Some(20 * RUNS), Some(200 * RUNS)), "{row}");
    let verdict = &comparison["verdict"];
    ensure!(verdict["change"] == "more" && verdict["p"].as_f64().is_some_and(|p| p < 0.05), "{verdict}");
    ensure!(comparison["before"]["hosts"][0]["kernel"].is_string(), "{comparison}");

    let backwards = compared(bench, &[&after, &before])?;
    ensure!(backwards["verdict"]["change"] == "less", "{}", backwards["verdict"]);
    let single = compared(bench, &[&one, &after])?;
    ensure!(single["verdict"]["change"] == "unknown", "{}", single["verdict"]);
    let sum = report(bench, &["--sum", "--by", "reason", "--format", "json", &before, &after])?;
    let sum: Value = serde_json::from_str(&sum.stdout)?;
    let all = sum["rows"].as_array().context("rows")?.iter().find(|row| row["reason"] == "NO_SOCKET");
    ensure!(all.is_some_and(|row| row["count"] == 220 * RUNS), "{sum}");
    Ok(())
}

/// Each run's command sends so many datagrams to a closed port.
fn record(bench: &Bench, lab: &Lab, recording: &str, runs: u64, datagrams: u64) -> Result<()> {
    if !std::path::Path::new("/bin/bash").exists() {
        return Err(Skip("no bash is installed".into()).into());
    }
    let script = format!("for each in {{1..{datagrams}}}; do echo > /dev/udp/127.0.0.1/9; done");
    let mut command = lab.receiver.command(&bench.netdrop.to_string_lossy());
    command.args(["run", "--scope", "netns", "--repeat", &runs.to_string(), "--recording", recording]);
    let ended = run_to_end(command.args(["--", "/bin/bash", "-c", &script]))?;
    ensure!(ended.code == Some(0), "run ended with {:?}: {}", ended.code, ended.stderr.trim());
    Ok(())
}

fn report(bench: &Bench, arguments: &[&str]) -> Result<Ended> {
    let ended = run_to_end(std::process::Command::new(&bench.netdrop).arg("report").args(arguments))?;
    ensure!(ended.code == Some(0), "report ended with {:?}: {}", ended.code, ended.stderr.trim());
    Ok(ended)
}

fn compared(bench: &Bench, recordings: &[&str]) -> Result<Value> {
    let ended = report(bench, &[&["--format", "json"], recordings].concat())?;
    Ok(serde_json::from_str(&ended.stdout)?)
}
