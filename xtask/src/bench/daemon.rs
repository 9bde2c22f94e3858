//! The daemon, `netdrop serve` as it is without any settings, on a machine that drops next to nothing: what it costs to be there.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::flood::Flood;
use super::running::Running;
use super::tool::daemon;

/// What a start leaves to do (names, owners) is done, and the doctor's first look, which tells of the flood: it comes ten seconds after the start.
const SETTLE: Duration = Duration::from_secs(12);
/// Two of the daemon's intervals.
const WATCHED: Duration = Duration::from_secs(20);

/// What one run showed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Idle {
    /// Of one core.
    pub cpu: f64,
    /// A second, all threads together.
    pub wake_ups: f64,
    /// Resident, in bytes.
    pub memory: u64,
}

/// What all threads of a process have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub run: Duration,
    pub wake_ups: u64,
}

/// Starts the daemon, floods it once, so that it has the memory of one that has worked, and watches it doing nothing.
pub fn measure(netdrop: &Path, flood: &Flood, folder: &Path) -> Result<Idle> {
    let running = Running::start(&daemon(netdrop), flood, folder)?;
    flood.send(100_000)?;
    thread::sleep(SETTLE);
    let (start, before) = (Instant::now(), used(running.id())?);
    thread::sleep(WATCHED);
    let (took, after) = (start.elapsed().as_secs_f64(), used(running.id())?);
    let idle = Idle {
        cpu: after.run.saturating_sub(before.run).as_secs_f64() / took,
        wake_ups: after.wake_ups.saturating_sub(before.wake_ups) as f64 / took,
        memory: running.memory()?.now,
    };
    running.end()?;
    Ok(idle)
}

/// What a process has used so far.
pub fn used(pid: u32) -> Result<Used> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = Used::default();
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let folder = task?.path();
        let read = |file: &str| fs::read_to_string(folder.join(file));
        // A thread that has ended meanwhile is one less.
        let (Ok(schedstat), Ok(status)) = (read("schedstat"), read("status")) else { continue };
        let run = schedstat.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok());
        sum.run += Duration::from_nanos(run.context("schedstat tells no time on a CPU")?);
        sum.wake_ups += voluntary(&status).context("status tells no context switches")?;
    }
    Ok(sum)
}

/// `voluntary_ctxt_switches` of `proc_pid_status(5)`: how often it has slept.
fn voluntary(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_voluntary_switches_are_wake_ups() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t71\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(voluntary(status), Some(71));
        assert_eq!(voluntary("nonvoluntary_ctxt_switches:\t9\n"), None);
    }

    #[test]
    fn this_process_has_run() {
        assert!(used(std::process::id()).unwrap().run > Duration::ZERO);
    }
}
