//! `netdrop run`.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::time::timeout;

use super::capture::{Capture, explain, identify};
use super::details::Details;
use super::filter::Filters;
use crate::aggregate::{Aggregator, By};
use crate::assertion::Assertion;
use crate::daemon::{
    Cgroup, Command, Ended, Format, Limits, Outlet, Outlets, Sink, Stop, Terminal, exit_code, run,
};
use crate::doctor::Finding;
use crate::filter::Wanted;
use crate::kernel::host;
use crate::model::Summary;
use crate::output::{
    Checked, Color, Destination, Histogram, Json, Output, RotatingFile, junit, markdown, repeats,
};
use crate::units::parse_duration;

/// Details per second of each counter: for flows and owners a fair sample is enough.
const RATE: u32 = 1000;
/// A report that isn't read on a terminal is so wide.
const WIDTH: usize = 120;
/// The exit code when an assertion of `--fail-on` holds.
const ASSERTED: u8 = 3;
/// Where GitHub takes a job's summary from.
const GITHUB_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

const EXAMPLES: &str = "\
Examples:
  netdrop run -- wrk -d 30s http://localhost:8080/
  netdrop run --scope tree --fail-on class=congestion --fail-on 'rate>100/s' -- ./soak.sh
  netdrop run --repeat 5 --recording before.jsonl -- iperf3 -u -b 1G -c 10.0.0.2

An expression of --fail-on is tests joined by and, or, parentheses. A test is
  what      drops, rate, bytes, lost, or selectors joined by commas: class=,
            reason=, function=, device=, netns=, proto= (!= for all but these,
            * for any letters), as in class=congestion,device=eth0; of TCP
            retransmits, resets, retransmit-ratio (in per cent)
  how much  > >= < <= == != and a number, as in 10, 5k, 100/s, 0.5%; without:
            more than none";

/// `netdrop run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct Run {
    #[command(flatten)]
    filters: Filters,
    /// Whose drops are reported
    #[arg(long, value_enum, default_value_t = Scope::System, help_heading = "Run")]
    scope: Scope,
    /// Leave out what is dropped in the first time of the command, as in 5s
    #[arg(long, value_parser = parse_duration, value_name = "TIME", help_heading = "Run")]
    warmup: Option<Duration>,
    /// Run the command so many times, and report medians and spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), value_name = "N", help_heading = "Run")]
    repeat: u32,
    /// What must not happen: exit code 3 and the reason if it does, in any of the runs; can be given more than once
    #[arg(long, value_name = "EXPRESSION", help_heading = "Run")]
    fail_on: Vec<Assertion>,
    /// Write what --fail-on found into this file, in JUnit's XML
    #[arg(long, value_name = "FILE", requires = "fail_on", help_heading = "Run")]
    junit: Option<PathBuf>,
    /// Add the report to the summary of the GitHub job ($GITHUB_STEP_SUMMARY)
    #[arg(long, help_heading = "Run")]
    github_summary: bool,
    /// How the report is written
    #[arg(short, long, value_enum, default_value_t = RunFormat::Histogram, help_heading = "Output")]
    format: RunFormat,
    /// Write the report into this file instead of standard error
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Write a recording as well, of all runs, for netdrop report; compressed where the name ends in .zst
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    recording: Option<PathBuf>,
    /// Rows for lifecycle drops too, which the report folds into one line
    #[arg(long, help_heading = "Output")]
    all_classes: bool,
    /// The steps of the course over time, as in 100ms, 5s
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME", help_heading = "Output")]
    interval: Duration,
    /// Colour [NO_COLOR is honoured]
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Output")]
    color: Color,
    #[command(flatten)]
    details: Details,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Whose drops are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// All that happen while the command runs
    System,
    /// Those of the network namespace that netdrop, and so the command, starts in
    Netns,
    /// Those of sockets that the command and its children make (by a cgroup of their own)
    Tree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RunFormat {
    /// Functions with their share and course over time, classes, reasons, flows, owners
    Histogram,
    /// One JSON object a line, as watch writes them (watch --schema describes them)
    Json,
}

/// One run of the command.
struct Once {
    end: Summary,
    findings: Vec<Finding>,
    code: u8,
}

impl Run {
    /// Runs the command as often as is wanted, and reports.
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        self.details.tcp |= self.fail_on.iter().any(Assertion::needs_tcp);
        if self.filters.explain_filter {
            explain(&self.wanted(None), self.format == RunFormat::Json)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut runs = Vec::new();
        for number in 1..=self.repeat {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let once = runtime.context("can't start the event loop")?.block_on(self.once(number));
            runs.push(once?);
            if self.repeat > 1 {
                let Some(Once { end, code, .. }) = runs.last() else { continue };
                let drops = end.accounts.passed();
                eprintln!("netdrop: run {number} of {}: {drops} drops, exit code {code}", self.repeat);
            }
        }
        self.conclude(&runs)
    }

    /// One run: attached first, so that nothing is missed; with a warm-up after it.
    async fn once(&self, number: u32) -> anyhow::Result<Once> {
        let identity = identify(self.details.tcp)?;
        let cgroup = (self.scope == Scope::Tree).then(|| Cgroup::create(Path::new("/"))).transpose()?;
        let wanted = self.wanted(cgroup.as_ref());
        let outlets = self.outlets(number)?;
        let folder = cgroup.as_ref().map(Cgroup::folder);
        let capture = Capture { details: &self.details, rate: RATE, needs_owners: false, for_daemon: false };
        let (captured, command) = match self.warmup {
            None => {
                let mut captured = capture.attach(identity, &wanted, true)?;
                captured.ready().await;
                (captured, Command::start(&self.command, folder)?)
            }
            Some(time) => {
                let mut command = Command::start(&self.command, folder)?;
                if let Ok(ended) = timeout(time, command.ended()).await {
                    let code = exit_code(ended?);
                    anyhow::bail!(
                        "the command ended in the warm-up, with exit code {code}: nothing was counted"
                    );
                }
                (capture.attach(identity, &wanted, true)?, command)
            }
        };
        let (aggregator, stop) = (Aggregator::new(By::default()), Stop::with(command));
        let plan = captured.plan(aggregator, outlets, stop, Limits::default(), self.interval);
        let Ended { end, findings, output, command } = run(plan).await?;
        output?;
        let status = command.context("the command's end was not seen")??;
        Ok(Once { end, findings, code: exit_code(status) })
    }

    fn wanted(&self, cgroup: Option<&Cgroup>) -> Wanted {
        let mut wanted = self.filters.wanted();
        wanted.cgroup = cgroup.map(Cgroup::id);
        if self.scope == Scope::Netns {
            wanted.netns.only.push("self".into());
        }
        wanted
    }

    /// The report, where each run has its own, and the recording.
    fn outlets(&self, number: u32) -> anyhow::Result<Outlets> {
        let start = |to| Sink::start(to).context("can't start the thread that writes");
        let mut outlets = Vec::new();
        if self.repeat == 1 {
            outlets.push(Outlet::new(Format::Lines(self.report()), start(self.destination()?)?));
        }
        if let Some(path) = &self.recording {
            let file =
                if number == 1 { RotatingFile::open(path, None)? } else { RotatingFile::append(path)? };
            let file: Box<dyn Destination> = Box::new(file);
            outlets.push(Outlet::new(
                Format::Lines(Box::new(Json::new().on(host::read(Path::new("/"))))),
                start(file)?,
            ));
        }
        Ok(Outlets::new(outlets))
    }

    fn report(&self) -> Box<dyn Output> {
        match self.format {
            RunFormat::Json => Box::new(Json::new()),
            RunFormat::Histogram => Box::new(self.histogram(self.width(), self.has_color())),
        }
    }

    fn histogram(&self, width: usize, color: bool) -> Histogram {
        let histogram = Histogram::new(width, color, self.interval);
        if self.all_classes { histogram.unfolded() } else { histogram }
    }

    fn destination(&self) -> anyhow::Result<Box<dyn Destination>> {
        let Some(path) = &self.output else {
            let fd = io::stderr().as_fd().try_clone_to_owned().context("standard error is closed")?;
            return Ok(Box::new(File::from(fd)));
        };
        Ok(Box::new(RotatingFile::open(path, None)?))
    }

    fn on_terminal(&self) -> bool {
        self.output.is_none() && io::stderr().is_terminal()
    }

    fn width(&self) -> usize {
        if self.on_terminal() { Terminal::new(false).view().width } else { WIDTH }
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(self.on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }

    /// What all runs come to: the medians, the assertions, the exit code.
    fn conclude(&self, runs: &[Once]) -> anyhow::Result<ExitCode> {
        let ends: Vec<Summary> = runs.iter().map(|run| run.end.clone()).collect();
        if self.repeat > 1 {
            let lines = match self.format {
                RunFormat::Histogram => repeats(&ends, self.width(), self.has_color()),
                RunFormat::Json => runs.iter().map(json).collect(),
            };
            self.destination()?.write_all((lines.join("\n") + "\n").as_bytes())?;
        }
        let checked = self.checked(&ends);
        for one in checked.iter().filter(|one| one.failed) {
            eprintln!("netdrop: --fail-on {}: {}", one.text, one.why);
        }
        let command = self.command.join(std::ffi::OsStr::new(" ")).to_string_lossy().into_owned();
        if let Some(path) = &self.junit {
            let time = ends.iter().map(|end| end.elapsed).sum();
            std::fs::write(path, junit(&command, time, &checked))
                .with_context(|| format!("can't write {}", path.display()))?;
        }
        if self.github_summary {
            Self::summarize(&markdown(&command, &checked, &self.plain(&ends)))?;
        }
        if checked.iter().any(|one| one.failed) {
            return Ok(ASSERTED.into());
        }
        let code = runs.iter().map(|run| run.code).find(|code| *code != 0);
        Ok(code.unwrap_or(0).into())
    }

    /// Each assertion, on each run: one that held says in which.
    fn checked(&self, ends: &[Summary]) -> Vec<Checked> {
        let check = |assertion: &Assertion| {
            let verdicts: Vec<_> = ends.iter().map(|end| assertion.evaluate(end)).collect();
            let number = verdicts.iter().position(|verdict| verdict.holds);
            let why =
                verdicts.get(number.unwrap_or(0)).map(|verdict| verdict.why.clone()).unwrap_or_default();
            let run = match number {
                Some(number) if ends.len() > 1 => format!("run {}: ", number + 1),
                _ => String::new(),
            };
            Checked { text: assertion.text().to_owned(), failed: number.is_some(), why: run + &why }
        };
        self.fail_on.iter().map(check).collect()
    }

    /// The report for a page: without colour and in full width. Flows and owners are in the report itself alone.
    fn plain(&self, ends: &[Summary]) -> String {
        match ends {
            [end] => {
                let mut out = Vec::new();
                self.histogram(WIDTH, false).end(end, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
            ends => repeats(ends, WIDTH, false).join("\n") + "\n",
        }
    }

    fn summarize(text: &str) -> anyhow::Result<()> {
        let path = std::env::var_os(GITHUB_SUMMARY).map(PathBuf::from);
        let path = path.with_context(|| {
            format!("--github-summary: {GITHUB_SUMMARY} isn't set, so this is no job of GitHub's")
        })?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("can't write the job's summary, {}", path.display()))
    }
}

/// What the doctor found in a run, then its end: as in a recording.
fn json(run: &Once) -> String {
    let (mut out, mut json) = (Vec::new(), Json::new());
    json.findings(&run.findings, &mut out);
    json.end(&run.end, &mut out);
    String::from_utf8_lossy(&out).trim_end().to_owned()
}
