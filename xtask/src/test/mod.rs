//! `cargo xtask test`: all that must hold before a change lands, one stage after the other.

mod fuzz;
mod stages;

use std::process::{Child, ExitCode};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};

use crate::packages;
use crate::tally::Tally;
use crate::vm;
use crate::workspace;

/// A group of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Format, clippy, licences
    Lint,
    /// Unit, snapshot and property tests
    Unit,
    /// The committed eBPF object belongs to the sources
    Ebpf,
    /// Real drops on this machine's kernel; needs root
    Scenarios,
    /// Beside the programs that netdrop works with (browser, Prometheus, OTLP); needs root
    Peers,
    /// A short run of each fuzz target
    Fuzz,
    /// The scenarios on other kernels, in virtual machines
    Vm,
}

/// What to run.
#[derive(Args)]
pub struct Options {
    /// Run the scenarios on other kernels too, in virtual machines (`--kernels` implies it)
    #[arg(long)]
    vm: bool,
    /// The matrix' kernels: series or paths of images [default: all series]
    #[arg(long, value_delimiter = ',')]
    kernels: Vec<String>,
    /// Install nothing; what then lacks its tools is skipped or fails
    #[arg(long)]
    no_install: bool,
    /// Run these stages alone
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Stage>,
    /// Of the scenarios, run those whose names hold this text
    #[arg(long)]
    filter: Option<String>,
    /// Seconds until a guest is given up
    #[arg(long, default_value_t = vm::LIMIT_SECONDS)]
    timeout: u64,
}

/// A stage's result: its counts, and what a reader must know about them.
struct Report {
    stage: Stage,
    tally: Tally,
    notes: Vec<String>,
    time: Duration,
}

/// What goes on while the stages run one after the other, and what one leaves for another.
struct Beside {
    /// netdrop's release build: most of its time it takes one processor.
    release: Option<Child>,
    /// The fuzz targets, which take what the stages leave of the processors: scenarios mostly wait.
    fuzz: Option<JoinHandle<(Result<Tally>, Vec<String>)>>,
    /// The scenarios that this machine's kernel has not passed, once they were run on it.
    left: Option<Vec<String>>,
}

impl Beside {
    fn begin(stages: &[Stage]) -> Result<Self> {
        let needs_release = |stage: &Stage| matches!(stage, Stage::Scenarios | Stage::Peers | Stage::Vm);
        let release = stages.iter().any(needs_release).then(workspace::begin_release).transpose()?;
        let run = || {
            let mut notes = Vec::new();
            (fuzz::run(&mut notes), notes)
        };
        let fuzz = stages.contains(&Stage::Fuzz).then(|| thread::spawn(run));
        Ok(Self { release, fuzz, left: None })
    }

    fn fuzzed(&mut self, notes: &mut Vec<String>) -> Result<Tally> {
        let thread = self.fuzz.take().context("fuzz targets run once")?;
        let (tally, told) = thread.join().map_err(|_| anyhow!("the fuzz targets' thread panicked"))?;
        notes.extend(told);
        tally
    }

    /// How the build went has been told where it was needed.
    fn end(self) -> Result<()> {
        let waited = self.release.map(|mut release| release.wait()).transpose();
        waited.context("cannot wait for the release build").map(drop)
    }
}

/// Runs the stages; the closing line sums them up.
pub fn run(options: &Options) -> Result<ExitCode> {
    let start = Instant::now();
    let stages = options.stages();
    packages::ensure(&stages, !options.no_install)?;
    let mut beside = Beside::begin(&stages)?;
    let reports: Vec<Report> = stages.iter().map(|stage| options.report(*stage, &mut beside)).collect();
    beside.end()?;

    println!("\n{:<10} {:>7} {:>7} {:>8} {:>8}", "stage", "passed", "failed", "skipped", "seconds");
    let mut sum = Tally::default();
    for Report { stage, tally, time, .. } in &reports {
        let Tally { passed, failed, skipped } = tally;
        println!("{:<10} {passed:>7} {failed:>7} {skipped:>8} {:>8.1}", stage.name(), time.as_secs_f64());
        sum += *tally;
    }
    // What failed comes last, where one looks first.
    for failed in [false, true] {
        for Report { stage, notes, .. } in &reports {
            for note in notes.iter().filter(|note| note.contains("FAILED") == failed) {
                println!("{}: {note}", stage.name());
            }
        }
    }
    println!("all in {:.0} s", start.elapsed().as_secs_f64());
    println!("{sum}");
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Options {
    fn stages(&self) -> Vec<Stage> {
        let wanted = |stage: &Stage| {
            if self.only.is_empty() {
                *stage != Stage::Vm || self.vm || !self.kernels.is_empty()
            } else {
                self.only.contains(stage)
            }
        };
        Stage::value_variants().iter().copied().filter(wanted).collect()
    }

    /// Runs one stage. An error in it is a failure of this stage, and the others still run.
    fn report(&self, stage: Stage, beside: &mut Beside) -> Report {
        println!("\n== {}", stage.name());
        let start = Instant::now();
        let mut notes = Vec::new();
        let result = match stage {
            Stage::Lint => Ok(stages::lint(&mut notes)),
            Stage::Unit => stages::unit(),
            Stage::Ebpf => stages::ebpf(&mut notes),
            Stage::Scenarios => {
                stages::scenarios(&self.scenario_arguments(), &mut notes).map(|(tally, not_passed)| {
                    beside.left = not_passed;
                    tally
                })
            }
            Stage::Peers => stages::peers(&self.scenario_arguments(), &mut notes),
            Stage::Fuzz => beside.fuzzed(&mut notes),
            Stage::Vm => vm::matrix::run(
                &self.kernels(),
                &self.scenario_arguments(),
                beside.left.as_deref(),
                Duration::from_secs(self.timeout),
                &mut notes,
            ),
        };
        let tally = result.unwrap_or_else(|error| {
            notes.push(format!("FAILED: {error:#}"));
            println!("{error:#}");
            Tally::FAILED
        });
        let time = start.elapsed();
        println!("== {}: {tally} in {:.1} s", stage.name(), time.as_secs_f64());
        Report { stage, tally, notes, time }
    }

    fn scenario_arguments(&self) -> Vec<String> {
        self.filter.iter().flat_map(|text| ["--filter".to_owned(), text.clone()]).collect()
    }

    fn kernels(&self) -> Vec<String> {
        if self.kernels.is_empty() {
            vm::MATRIX.iter().map(|(series, _)| (*series).to_owned()).collect()
        } else {
            self.kernels.clone()
        }
    }
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn stages_follow_the_flags() {
        use Stage::{Ebpf, Fuzz, Lint, Peers, Scenarios, Unit, Vm};
        let cases: [(&[&str], &[Stage]); 4] = [
            (&[], &[Lint, Unit, Ebpf, Scenarios, Peers, Fuzz]),
            (&["--vm"], &[Lint, Unit, Ebpf, Scenarios, Peers, Fuzz, Vm]),
            (&["--kernels", "5.10,6.1"], &[Lint, Unit, Ebpf, Scenarios, Peers, Fuzz, Vm]),
            (&["--only", "vm,lint"], &[Lint, Vm]),
        ];
        for (arguments, stages) in cases {
            let command = ["test"].iter().chain(arguments);
            assert_eq!(Command::try_parse_from(command).unwrap().options.stages(), stages, "{arguments:?}");
        }
    }
}
