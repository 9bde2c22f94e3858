//! What `netdrop tcp` costs: a transfer beside `rtt`, connections beside `life`, segments sent again beside `retransmits`; the
//! last two also beside bpftrace's ways to tell the same.

mod connections;
mod peers;
mod report;
mod retransmits;
mod transfer;

use std::path::Path;

use anyhow::{Context, Result};

use super::bpf::{Program, Runs};
use super::flood::Flood;
use super::machine::Untimed;
use super::tool::{Absent, Kind, Tool};
use connections::Lived;
use transfer::Pair;

/// Transfers of a round: they are short, and what a machine does to one of them may be far more than what is to be measured.
const PAIRS: u16 = 3;

/// A tool's rounds, or why there are none.
type Rounds<T> = (&'static str, Result<Vec<T>, String>);

/// All that was measured.
#[derive(Default)]
pub struct Tcp {
    transfers: Vec<Rounds<Pair>>,
    lives: Vec<Rounds<Lived>>,
    retransmits: Vec<Rounds<f64>>,
}

/// Measures all of it.
pub fn measure(netdrop: &Path, flood: &Flood, rounds: u16) -> Result<Tcp> {
    let folder = tempfile::tempdir().context("cannot make a folder for what tools say")?;
    let folder = folder.path();
    let _untimed = Untimed::start();
    println!("a transfer beside netdrop tcp rtt");
    let transfers = each((peers::rtt(netdrop), Vec::new()), rounds.saturating_mul(PAIRS), |tool, round| {
        transfer::pair(tool, flood, folder, round)
    })?;
    println!("short connections beside netdrop tcp life");
    let lives =
        each(peers::life(netdrop, folder)?, rounds, |tool, _| connections::round(tool, flood, folder))?;
    println!("segments sent again beside netdrop tcp retransmits");
    let retransmits = each(peers::retransmits(netdrop, folder)?, rounds, |tool, _| {
        retransmits::round(tool, flood, folder)
    })?;
    Ok(Tcp { transfers, lives, retransmits })
}

/// All tools in each round, one after the other: what changes on the machine changes for all. A peer that fails is a row that says so;
/// netdrop may not fail.
fn each<T>(
    (tools, absent): (Vec<Tool>, Vec<Absent>),
    rounds: u16,
    measure: impl Fn(&Tool, u16) -> Result<T>,
) -> Result<Vec<Rounds<T>>> {
    let mut rows: Vec<Rounds<T>> = tools.iter().map(|tool| (tool.name, Ok(Vec::new()))).collect();
    for round in 0..rounds {
        for (tool, (_, rounds)) in tools.iter().zip(&mut rows) {
            let Ok(measured) = rounds else { continue };
            match measure(tool, round) {
                Ok(one) => measured.push(one),
                Err(error) if tool.kind == Kind::Netdrop => return Err(error.context(tool.name)),
                Err(error) => *rounds = Err(format!("failed: {error:#}")),
            }
        }
    }
    rows.extend(absent.into_iter().map(|absent| (absent.name, Err(absent.reason.to_owned()))));
    Ok(rows)
}

/// How long all of a tool's programs ran while `work` was done, and how often.
fn time_of(programs: &[Program], work: impl FnOnce() -> Result<()>) -> Result<Runs> {
    let _statistics = super::bpf::Statistics::enable()?;
    let all = || programs.iter().map(Program::runs).collect::<Result<Vec<Runs>>>();
    let before = all()?;
    work()?;
    let runs = all()?.into_iter().zip(before).map(|(after, before)| after.since(before));
    Ok(runs.fold(Runs { nanoseconds: 0, count: 0 }, |sum, runs| Runs {
        nanoseconds: sum.nanoseconds + runs.nanoseconds,
        count: sum.count + runs.count,
    }))
}
