//! Runs cases one after the other and prints a line for each.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::batch;
use crate::lab::{Skip, interrupted, remove_leftovers, watch_for_interrupt};
use crate::scenario::Case;

/// What all cases share.
pub struct Bench {
    pub netdrop: PathBuf,
    pub flood: u64,
    pub verbose: bool,
    pub observe: bool,
}

/// How many cases ended how.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs the cases, those of the table first; gives the number of failures.
pub fn run(bench: &Bench, cases: impl Iterator<Item = Case>) -> Result<usize> {
    watch_for_interrupt()?;
    remove_leftovers();
    raise_open_files();
    let (mut scenarios, mut systems) = (Vec::new(), Vec::new());
    for case in cases {
        match case {
            Case::Scenario(scenario) => scenarios.push(scenario),
            Case::System(system) => systems.push(system),
        }
    }
    let mut count = Count::default();
    for batch in batch::batches(bench, scenarios)? {
        check_interrupted()?;
        let started = Instant::now();
        let outcomes = batch::run(bench, &batch);
        let each = started.elapsed() / u32::try_from(batch.len()).unwrap_or(1);
        for (scenario, outcome) in batch.iter().zip(outcomes) {
            count.tell(scenario.name, outcome, each);
        }
    }
    for system in systems.iter().filter(|_| !bench.observe) {
        check_interrupted()?;
        let started = Instant::now();
        let outcome = (system.test)(bench);
        count.tell(&system.name, outcome, started.elapsed());
    }
    let Count { passed, failed, skipped } = count;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed)
}

/// A thousand connections have a socket at each end: as many as are allowed, not as many as is usual.
fn raise_open_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What still doesn't fit is told by the case.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}

fn check_interrupted() -> Result<()> {
    if interrupted() {
        bail!("interrupted");
    }
    Ok(())
}

impl Count {
    fn tell(&mut self, name: &str, outcome: Result<()>, time: Duration) {
        match outcome.map_err(anyhow::Error::downcast::<Skip>) {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name:<56} {:>5.1} s", time.as_secs_f64());
            }
            Err(Ok(skip)) => {
                self.skipped += 1;
                println!("skipped {name}: {skip}");
            }
            Err(Err(error)) => {
                self.failed += 1;
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
}
