//! One round of one tool: it is started, flooded, asked and stopped.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::bpf::{Empty, Program, Runs, Statistics};
use super::flood::Flood;
use super::running::{Memory, Running};
use super::tool::Tool;

/// A tool gets so long to write what the floods left, before its memory is read: netdrop's interval between summaries.
const SETTLE: Duration = Duration::from_secs(1);

/// What one round showed.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// From exec until it was attached.
    pub start_up: Duration,
    /// Nanoseconds that its program took for a drop, less those of an empty program; `None` when it has none (perf).
    pub over_ns: Option<f64>,
    /// The flood's rate, 1 without the tool.
    pub relative_rate: f64,
    pub memory: Memory,
    /// Events it says it lost.
    pub lost: u64,
    /// Of so many drops.
    pub drops: u64,
}

/// Measures a tool once. The untraced flood comes right before the traced one, so that both see the same machine.
pub fn round(tool: &Tool, flood: &Flood, packets: u64, folder: &Path) -> Result<Round> {
    let warm_up = packets / 10;
    flood.send(warm_up)?;
    let untraced = flood.send(packets)?;
    let running = Running::start(tool, flood, folder)?;
    flood.send(warm_up)?;
    let traced = flood.send(packets)?;
    let over_ns = over(&running.programs()?, flood, packets, warm_up)?;
    let drops = warm_up + packets + if over_ns.is_some() { warm_up + packets } else { 0 };
    // What it still has to do for the last drops is done: the memory is that of a tool at its usual work.
    thread::sleep(SETTLE);
    Ok(Round {
        start_up: running.start_up,
        over_ns,
        relative_rate: untraced.as_secs_f64() / traced.as_secs_f64(),
        memory: running.memory()?,
        lost: running.stop(drops)?,
        drops,
    })
}

/// Runs an empty program beside the tool's, on the same drops, and compares their times.
fn over(programs: &[Program], flood: &Flood, packets: u64, warm_up: u64) -> Result<Option<f64>> {
    if programs.is_empty() {
        return Ok(None);
    }
    let _statistics = Statistics::enable()?;
    let empty = Empty::attach()?;
    flood.send(warm_up)?;
    let all = || programs.iter().map(Program::runs).collect::<Result<Vec<Runs>>>();
    let (before, empty_before) = (all()?, empty.runs()?);
    flood.send(packets)?;
    let (after, empty_after) = (all()?, empty.runs()?);
    let empty = empty_after.since(empty_before);
    // A tool may hold other programs too: the one that ran with the drops is meant.
    let runs = after.iter().zip(&before).map(|(after, before)| after.since(*before));
    let busiest = runs.max_by_key(|runs| runs.count).unwrap_or(Runs { nanoseconds: 0, count: 0 });
    for (who, runs) in [("the empty program", empty), ("its program", busiest)] {
        ensure!(runs.count >= packets, "{who} ran for {} of {packets} drops", runs.count);
    }
    Ok(Some(busiest.average() - empty.average()))
}
