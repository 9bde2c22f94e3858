//! Scenarios of the table that share a watcher: each has namespaces of its own, by which its drops are told from the others'.
//! netdrop's start is the longest part of a scenario, above all in an emulated guest.

use std::time::Duration;

use anyhow::{Result, anyhow};

use crate::judge::{Judge, Sight};
use crate::lab::Skip;
use crate::lab::until;
use crate::netdrop::Netdrop;
use crate::observer::Observer;
use crate::report::{Report, Watcher};
use crate::runner::Bench;
use crate::scenario::{At, KernelTypes, Scenario, Stage};
use crate::trace::Trace;

/// Scenarios of a batch, at most: what is prepared waits for those before it, and must not grow old.
const SIZE: usize = 8;

/// Puts the scenarios together, so that no drop can be taken for another scenario's: that is told by the namespace, and
/// where a drop may have none by the function.
pub fn batches(bench: &Bench, scenarios: Vec<Scenario>) -> Result<Vec<Vec<Scenario>>> {
    // Until 6.11 told the receiving socket, some drops have lost their namespace; and not every observer tells it.
    let namespaces_are_told = KernelTypes::read()?.has("rx_sk");
    let size = if bench.observe { 1 } else { SIZE };
    let may_share = |a: &Scenario, b: &Scenario| {
        let told = namespaces_are_told && [a, b].iter().all(|scenario| scenario.expect.at != At::Nowhere);
        told || !a.expect.functions.iter().any(|function| b.expect.functions.contains(function))
    };
    let mut batches: Vec<Vec<Scenario>> = Vec::new();
    for scenario in scenarios {
        let fitting = batches
            .iter_mut()
            .find(|batch| batch.len() < size && batch.iter().all(|other| may_share(other, &scenario)));
        match fitting {
            Some(batch) => batch.push(scenario),
            None => batches.push(vec![scenario]),
        }
    }
    Ok(batches)
}

/// What a scenario has come to when it is to be judged.
struct Seen<'s> {
    judge: Judge<'s>,
    report: Report,
    /// Kept until the watcher has ended: a socket that is closed drops what is in its queue.
    _stage: Stage,
}

/// Runs them side by side: all are prepared, then watched, then each sends and is looked at in turn.
pub fn run(bench: &Bench, batch: &[Scenario]) -> Vec<Result<()>> {
    let stages: Vec<Result<Stage>> =
        batch.iter().map(|scenario| (scenario.prepare)(scenario.expect.count)).collect();
    if stages.iter().all(Result::is_err) {
        return stages.into_iter().map(|stage| stage.map(drop)).collect();
    }
    let (watcher, sight) = match watch(bench) {
        Ok(watching) => watching,
        Err(error) => return failed(batch, &error),
    };
    let seen: Vec<Result<Seen>> = batch
        .iter()
        .zip(stages)
        .map(|(scenario, stage)| send(scenario, stage?, watcher.as_ref(), sight))
        .collect();
    let end = match watcher.finish() {
        Ok(end) => end,
        Err(error) => return failed(batch, &error),
    };
    let judged = seen.into_iter().map(|seen| {
        let Seen { judge, report, _stage } = seen?;
        let report = Report { accounts: end.accounts, ..report };
        if bench.verbose {
            report.rows.iter().for_each(|row| println!("        {}", judge.with_device_name(row.clone())));
        }
        judge.judge(&report)
    });
    judged.collect()
}

/// What befell the watcher befell all.
fn failed(batch: &[Scenario], error: &anyhow::Error) -> Vec<Result<()>> {
    let again = || match error.downcast_ref::<Skip>() {
        Some(skip) => Err(Skip(skip.0.clone()).into()),
        None => Err(anyhow!("{error:#}")),
    };
    batch.iter().map(|_| again()).collect()
}

fn watch(bench: &Bench) -> Result<(Box<dyn Watcher>, Sight)> {
    if !bench.observe {
        return Ok((Box::new(Netdrop::start(&bench.netdrop, &["--all"])?), Sight::Full));
    }
    match Observer::start() {
        Ok(observer) => Ok((Box::new(observer), Sight::Counts)),
        Err(error) if error.is::<Skip>() => Ok((Box::new(Trace::start()?), Sight::Sites)),
        Err(error) => Err(error),
    }
}

/// Sends, and waits until all drops have come, or the judgement says what is missing. What comes after that, as retransmissions do,
/// is not the scenario's.
fn send<'s>(
    scenario: &'s Scenario,
    mut stage: Stage,
    watcher: &dyn Watcher,
    sight: Sight,
) -> Result<Seen<'s>> {
    let expect = &scenario.expect;
    stage.send()?;
    let judge = Judge::new(&stage.lab, expect, sight)?;
    let _ =
        until("the drops", Duration::from_secs(5), || Ok(judge.is_all_here(&watcher.so_far()).then_some(())));
    Ok(Seen { judge, report: watcher.so_far(), _stage: stage })
}
