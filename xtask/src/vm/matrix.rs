//! The matrix: the scenarios on every kernel, and the table of how they went.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;

use super::Lab;
use super::kernels::{self, Kernel};
use super::netdevsim;
use super::qemu::Outcome;
use crate::tally::{Tally, failures, skip_reason};

/// Guests at a time. Each has two processors of its own, emulated where KVM doesn't run.
const PARALLEL: usize = 2;

/// Guests that share one kernel's scenarios: shorter runs leave no processor idle at the end of the matrix.
const PARTS: usize = 2;

/// One kernel's row of the table.
struct Row {
    kernel: String,
    tally: Tally,
    time: Duration,
    /// Why the guest as a whole counts as failed.
    trouble: Option<String>,
    /// Skip reasons with the number of cases that gave them.
    skips: BTreeMap<String, u64>,
    /// The lines of the cases that failed.
    failures: Vec<String>,
}

/// Runs the scenarios on every wanted kernel (`5.10`, `6.12` …, or paths); prints the table, returns the sum.
/// What failed goes to `notes`. Of this machine's own series only those are run that are `left`, as the machine itself has passed the others.
pub fn run(
    wanted: &[String],
    arguments: &[String],
    left: Option<&[String]>,
    limit: Duration,
    notes: &mut Vec<String>,
) -> Result<Tally> {
    // A kernel that can't be had is a failed row, not the end of the others.
    let found: Vec<(String, Result<Kernel>)> =
        wanted.iter().map(|name| (name.clone(), kernels::find(name))).collect();
    let Some(first) = found.iter().find_map(|(_, kernel)| kernel.as_ref().ok()) else {
        for (name, kernel) in &found {
            if let Err(error) = kernel {
                println!("{name}: {error:#}");
            }
        }
        return Ok(Tally { failed: wanted.len() as u64, ..Tally::default() });
    };
    // Scenarios would only skip where it is missing; that it can't be built must not pass for that.
    let unbuilt: Vec<String> = found
        .iter()
        .filter_map(|(name, kernel)| {
            let error = netdevsim::ensure(kernel.as_ref().ok()?).err()?;
            Some(format!("{name}: FAILED: no netdevsim: {error:#}"))
        })
        .collect();
    for line in &unbuilt {
        println!("{line}");
    }
    let lab = Lab::new(first, &[], limit)?;
    let of = |kernel: &Kernel| {
        let left = left.filter(|_| is_of_this_series(kernel));
        let cases = left.map(|left| format!("--cases={}", left.join(",")));
        arguments.iter().cloned().chain(cases).collect::<Vec<_>>()
    };

    let rows = Mutex::new(Vec::new());
    // The parts of a kernel follow one another: only what can't be halved, its boot, is done twice.
    let guests = found.iter().enumerate().flat_map(|found| {
        // What can't be booted fails once.
        let parts = if found.1.1.is_ok() { PARTS } else { 1 };
        (1..=parts).map(move |part| (found, part))
    });
    let queue = Mutex::new(guests);
    let next = || queue.lock().expect("no guest's thread panics").next();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(((position, (name, kernel)), part)) = next() {
                    let arguments = kernel.as_ref().map(of).unwrap_or_default();
                    let row = row(&lab, name, kernel.as_ref(), part, &arguments);
                    rows.lock().expect("no guest's thread panics").push((position, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("no guest's thread panics");
    rows.sort_by_key(|(position, _)| *position);
    let rows = rows.into_iter().fold(Vec::new(), |mut kernels: Vec<(usize, Row)>, (position, row)| {
        match kernels.last_mut().filter(|(last, _)| *last == position) {
            Some((_, kernel)) => kernel.add(row),
            None => kernels.push((position, row)),
        }
        kernels
    });

    let mut sum = Tally::default();
    println!("\n{:<28} {:>7} {:>7} {:>8} {:>8}", "kernel", "passed", "failed", "skipped", "seconds");
    for (_, row) in &rows {
        println!("{}", row.line());
        sum += row.tally;
    }
    for (_, row) in &rows {
        for (reason, count) in &row.skips {
            println!("{}: {count} skipped: {reason}", row.kernel);
        }
        notes.extend(row.failures.iter().map(|failure| format!("{}: {failure}", row.kernel)));
        notes.extend(row.trouble.iter().map(|trouble| format!("{}: FAILED: {trouble}", row.kernel)));
    }
    for line in unbuilt {
        notes.push(line);
        sum += Tally::FAILED;
    }
    Ok(sum)
}

/// Whether this machine runs a kernel of the same series: 6.18.
fn is_of_this_series(kernel: &Kernel) -> bool {
    let running = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    running.is_ok_and(|running| series(&running) == series(&kernel.name))
}

/// A release's first two numbers.
fn series(release: &str) -> Option<(&str, &str)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?, numbers.next()?))
}

fn row(
    lab: &Lab,
    name: &str,
    kernel: Result<&Kernel, &anyhow::Error>,
    part: usize,
    arguments: &[String],
) -> Row {
    let outcome = kernel.map_err(|error| format!("{error:#}")).and_then(|kernel| {
        let show = |line: &str| println!("[{name}] {line}");
        let mut command = lab.scenarios(arguments);
        command.push(format!("--part={part}/{PARTS}"));
        lab.run(kernel, &format!(".{part}"), &command, show).map_err(|error| format!("{error:#}"))
    });
    let release = kernel.map_or_else(|_| name.to_owned(), |kernel| kernel.name.clone());
    match outcome {
        Ok(outcome) => Row::from_outcome(release, outcome),
        Err(trouble) => Row {
            kernel: release,
            tally: Tally::FAILED,
            time: Duration::ZERO,
            trouble: Some(trouble),
            skips: BTreeMap::new(),
            failures: Vec::new(),
        },
    }
}

impl Row {
    fn from_outcome(kernel: String, outcome: Outcome) -> Self {
        let counted = outcome.console.iter().rev().find_map(|line| Tally::from_closing_line(line));
        let mut tally = counted.unwrap_or_default();
        let trouble = match (outcome.exit, counted) {
            (Err(why), _) => Some(why),
            (Ok(_), None) => Some("the scenarios printed no closing line".to_owned()),
            // Failed cases are counted already; any other end is one more.
            (Ok(code), Some(counted)) if code != 0 && counted.failed == 0 => {
                Some(format!("exit code {code}"))
            }
            (Ok(_), Some(_)) => None,
        };
        if trouble.is_some() {
            tally += Tally::FAILED;
        }
        let mut skips = BTreeMap::new();
        for reason in outcome.console.iter().filter_map(|line| skip_reason(line)) {
            *skips.entry(reason.to_owned()).or_default() += 1;
        }
        let failures = failures(outcome.console.iter().map(String::as_str));
        Self { kernel, tally, time: outcome.time, trouble, skips, failures }
    }

    /// Takes up what another guest did with the same kernel.
    fn add(&mut self, other: Self) {
        self.tally += other.tally;
        self.time += other.time;
        self.failures.extend(other.failures);
        for (reason, count) in other.skips {
            *self.skips.entry(reason).or_default() += count;
        }
        if let Some(other) = other.trouble {
            self.trouble =
                Some(self.trouble.take().map_or(other.clone(), |trouble| format!("{trouble}; {other}")));
        }
    }

    fn line(&self) -> String {
        let Tally { passed, failed, skipped } = self.tally;
        format!("{:<28} {passed:>7} {failed:>7} {skipped:>8} {:>8.1}", self.kernel, self.time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(exit: Result<i32, String>, console: &[&str]) -> Row {
        let console = console.iter().map(ToString::to_string).collect();
        Row::from_outcome("k".into(), Outcome { console, exit, time: Duration::from_secs(1) })
    }

    #[test]
    fn anything_but_a_full_good_run_fails() {
        let verdict = |line: &str| Err::<i32, String>(line.to_owned());
        let closing: &[&str] = &["2 passed, 0 failed, 1 skipped"];
        let tally = |passed, failed, skipped| Tally { passed, failed, skipped };
        let cases = [
            (row(Ok(0), closing), tally(2, 0, 1)),
            (row(Ok(1), &["1 passed, 1 failed, 0 skipped"]), tally(1, 1, 0)),
            (row(Ok(1), closing), tally(2, 1, 1)),
            (row(Ok(0), &["udp ok"]), tally(0, 1, 0)),
            (row(verdict("no verdict"), closing), tally(2, 1, 1)),
            (row(verdict("no verdict"), &[]), tally(0, 1, 0)),
        ];
        for (row, expected) in cases {
            assert_eq!(row.tally, expected, "{:?}", row.trouble);
        }
    }

    #[test]
    fn a_series_is_two_numbers() {
        assert_eq!(series("6.18.44-fc-v595"), series("6.18.15+deb13-cloud-amd64"));
        assert_ne!(series("6.18.15"), series("6.1.0-50-cloud-amd64"));
        assert_eq!(series("7.3-rc1"), Some(("7", "3")));
    }

    #[test]
    fn a_kernels_guests_are_one_row() {
        let mut sum = row(Ok(0), &["skipped a: old", "1 passed, 0 failed, 1 skipped"]);
        sum.add(row(Ok(1), &["FAILED  b: x", "skipped c: old", "0 passed, 1 failed, 1 skipped"]));
        sum.add(row(Err("no verdict".into()), &[]));
        sum.add(row(Err("a panic".into()), &[]));
        assert_eq!(sum.tally, Tally { passed: 1, failed: 3, skipped: 2 });
        assert_eq!((sum.time, sum.failures), (Duration::from_secs(4), vec!["FAILED  b: x".to_owned()]));
        assert_eq!(sum.skips, BTreeMap::from([("old".into(), 2)]));
        assert_eq!(sum.trouble.as_deref(), Some("no verdict; a panic"));
    }

    #[test]
    fn equal_skip_reasons_are_counted_together() {
        let row = row(
            Ok(0),
            &[
                "skipped a: no dummy",
                "skipped b: no dummy",
                "skipped c: old",
                "0 passed, 0 failed, 3 skipped",
            ],
        );
        assert_eq!(row.skips, BTreeMap::from([("no dummy".into(), 2), ("old".into(), 1)]));
    }
}
