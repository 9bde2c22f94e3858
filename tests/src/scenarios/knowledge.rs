//! What netdrop knows, against what this kernel has.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::filters::kernel_has_reasons;
use crate::lab::Skip;
use crate::netdrop::{Ended, run_to_end};
use crate::runner::Bench;
use crate::scenario::System;

pub fn table() -> Vec<System> {
    vec![
        System::new("knowledge-knows-every-reason", every_reason),
        System::new("knowledge-knows-numbers", by_number),
    ]
}

/// A reason of this kernel that `explain` doesn't know fails the test: it names all that are missing.
fn every_reason(bench: &Bench) -> Result<()> {
    let reasons = reasons(bench)?;
    ensure!(reasons.len() > 5, "only {} reasons", reasons.len());
    let names: Vec<&str> = reasons.iter().map(|(_, name)| name.as_str()).collect();
    let ended = explain(bench, &names)?;
    ensure!(ended.code == Some(0), "{}", ended.stderr.trim());
    ensure!(ended.stdout.lines().count() >= names.len(), "an answer is missing: {}", ended.stdout);
    Ok(())
}

/// The kernel's own numbers lead to the same names.
fn by_number(bench: &Bench) -> Result<()> {
    let reasons = reasons(bench)?;
    let numbers: Vec<String> = reasons.iter().map(|(number, _)| format!("{number:#x}")).collect();
    let ended = explain(bench, &numbers.iter().map(String::as_str).collect::<Vec<_>>())?;
    ensure!(ended.code == Some(0), "{}", ended.stderr.trim());
    let answers: Vec<Value> = ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for ((_, name), number) in reasons.iter().zip(&numbers) {
        let found = answers.iter().any(|answer| answer["asked"] == **number && answer["name"] == **name);
        ensure!(found, "{number} is not explained as {name}");
    }
    Ok(())
}

fn explain(bench: &Bench, names: &[&str]) -> Result<Ended> {
    run_to_end(Command::new(&bench.netdrop).args(["explain", "--format", "json"]).args(names))
}

/// Number and name of every reason that this kernel names, those of its loaded modules included.
fn reasons(bench: &Bench) -> Result<Vec<(u32, String)>> {
    if !kernel_has_reasons()? {
        return Err(Skip("this kernel gives no drop reasons".into()).into());
    }
    let ended = run_to_end(Command::new(&bench.netdrop).args(["check", "--reasons"]))?;
    ensure!(ended.code == Some(0), "`netdrop check --reasons` failed: {}", ended.stderr.trim());
    let reason = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.parse().ok()?, words.last()?.to_owned()))
    };
    ended.stdout.lines().map(|line| reason(line).with_context(|| format!("no reason: {line}"))).collect()
}
