//! `cargo xtask bench`: what netdrop costs, beside its peers, in one run on one machine.
//!
//! ```text
//! machine → for each round, each tool: session (running × flood × bpf) → report ← limits
//! ```

#![expect(clippy::cast_precision_loss, reason = "what is measured is far from 2^52 and less exact")]

mod bpf;
mod daemon;
mod doctor;
mod explained;
mod flood;
mod limits;
mod machine;
mod report;
mod running;
mod sample;
mod session;
mod table;
mod tcp;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::{dist, workspace};
use daemon::Idle;
use explained::Explained;
use flood::Flood;
use limits::{Bound, Limit};
use machine::Untimed;
use report::{Report, Row};
use sample::Sample;
use tool::{Kind, Tool};

/// How much to measure.
#[derive(Args)]
pub struct Options {
    /// How often each tool is started and measured
    #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Packets of one flood
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    packets: u64,
    /// Measure what follows TCP alone
    #[arg(long, conflicts_with = "write")]
    tcp: bool,
    /// Measure this binary instead of one that is built now
    #[arg(long, value_name = "FILE", conflicts_with = "write")]
    netdrop: Option<PathBuf>,
    /// Fail when a limit is missed or can't be measured
    #[arg(long)]
    check: bool,
    /// Write the tables to docs/benchmark.md too
    #[arg(long)]
    write: bool,
}

/// Measures, prints, and writes or fails if asked to.
pub fn run(options: &Options) -> Result<ExitCode> {
    if !workspace::is_root() {
        bail!("only root may load BPF programs: run `sudo cargo xtask bench`");
    }
    let netdrop = match &options.netdrop {
        Some(netdrop) => netdrop.clone(),
        None => workspace::static_release("netdrop")?.join("netdrop"),
    };
    machine::mount_tracefs()?;
    if options.tcp {
        let tcp = tcp::measure(&netdrop, &Flood::new()?, options.rounds)?;
        let limits = tcp.limits();
        println!("\n{}\n{}", tcp.render(), limits::render(&limits));
        return Ok(verdict(options, &limits));
    }
    let pipeline = workspace::static_release("netdrop-pipeline")?.join("netdrop-pipeline");
    let machine = machine::describe();

    let flood = Flood::new()?;
    let tcp = tcp::measure(&netdrop, &flood, options.rounds)?;
    let rows = measure(&netdrop, &flood, options)?;
    let explained = explain(&netdrop, &flood, options.rounds)?;
    let idle = idle(&netdrop, &flood, options.rounds)?;
    let doctor = doctor::over_its_window(&netdrop, options.rounds)?;
    let events_per_second = events_per_second(&pipeline, options.rounds)?;
    let binary = fs::metadata(&netdrop).context("cannot read the size of the binary")?.len();
    let report = Report {
        machine,
        command: command(options),
        place: flood.place(),
        rounds: options.rounds.into(),
        packets: options.packets,
        limits: limits(&rows, &explained, &idle, doctor.as_ref(), events_per_second.as_ref(), binary)
            .into_iter()
            .chain(tcp.limits())
            .collect(),
        tcp,
        rows,
        explained,
        idle,
        events_per_second,
    };
    println!("\n{}", report.render());
    if options.write {
        let path = workspace::root().join("docs/benchmark.md");
        fs::create_dir_all(path.with_file_name("")).context("cannot make docs/")?;
        fs::write(&path, report.document()).with_context(|| format!("cannot write {}", path.display()))?;
        println!("written to docs/benchmark.md");
    }
    Ok(verdict(options, &report.limits))
}

fn verdict(options: &Options, limits: &[Limit]) -> ExitCode {
    let missed = limits.iter().any(|limit| limit.holds() != Some(true));
    if options.check && missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All tools in each round, one after the other: what changes on the machine changes for all.
fn measure(netdrop: &Path, flood: &Flood, options: &Options) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().context("cannot make a folder for what perf records")?;
    let _untimed = Untimed::start();
    let (tools, absent) = tool::all(netdrop, folder.path());
    let mut rows: Vec<Row> =
        tools.iter().map(|tool| Row { name: tool.name, rounds: Ok(Vec::new()) }).collect();
    for round in 1..=options.rounds {
        println!("round {round} of {}", options.rounds);
        for (tool, row) in tools.iter().zip(&mut rows) {
            add_round(tool, row, flood, options.packets, folder.path())?;
        }
    }
    rows.extend(
        absent.into_iter().map(|absent| Row { name: absent.name, rounds: Err(absent.reason.into()) }),
    );
    Ok(rows)
}

/// A peer that fails is a row that says so; netdrop may not fail.
fn add_round(tool: &Tool, row: &mut Row, flood: &Flood, packets: u64, folder: &Path) -> Result<()> {
    let Ok(rounds) = &mut row.rounds else { return Ok(()) };
    match session::round(tool, flood, packets, folder) {
        Ok(round) => rounds.push(round),
        Err(error) if tool.kind == Kind::Netdrop => return Err(error.context(tool.name)),
        Err(error) => {
            println!("{}: {error:#}", tool.name);
            row.rounds = Err(format!("failed: {error:#}"));
        }
    }
    Ok(())
}

/// Drops at a pace that netdrop must hold.
fn explain(netdrop: &Path, flood: &Flood, rounds: u16) -> Result<Vec<Explained>> {
    println!("{} drops a second, explained", explained::RATE);
    let folder = tempfile::tempdir().context("cannot make a folder for what netdrop writes")?;
    (0..rounds).map(|_| explained::measure(netdrop, flood, folder.path())).collect()
}

/// The daemon at rest: some times are enough, as each takes long.
fn idle(netdrop: &Path, flood: &Flood, rounds: u16) -> Result<Vec<Idle>> {
    println!("the daemon at rest");
    let folder = tempfile::tempdir().context("cannot make a folder for the daemon")?;
    (0..rounds.min(3)).map(|_| daemon::measure(netdrop, flood, folder.path())).collect()
}

/// Runs the pipeline's own program, built as netdrop ships: this one may be a debug build.
fn events_per_second(pipeline: &Path, rounds: u16) -> Result<Option<Sample>> {
    println!("user space");
    let rates = workspace::stdout(Command::new(pipeline).arg(rounds.to_string()))?;
    let rates: Vec<f64> = rates.lines().filter_map(|line| line.parse().ok()).collect();
    ensure!(rates.len() == usize::from(rounds), "{} printed {} rates", pipeline.display(), rates.len());
    Ok(Sample::new(rates.into_iter().map(|rate| rate / 1e6)))
}

fn limits(
    rows: &[Row],
    explained: &[Explained],
    idle: &[Idle],
    doctor: Option<&Sample>,
    events_per_second: Option<&Sample>,
    binary: u64,
) -> Vec<Limit> {
    let over =
        |name: &str| rows.iter().find(|row| row.name == name).and_then(Row::over_ns).map(|s| s.median());
    // Of netdrop's rows the worst counts.
    let worst = |figure: fn(&Row) -> Option<Sample>| {
        let netdrop = rows.iter().filter(|row| row.name.starts_with("netdrop"));
        netdrop.filter_map(figure).map(|sample| sample.median()).reduce(f64::max)
    };
    let explained = |figure: fn(&Explained) -> f64| Sample::new(explained.iter().map(figure));
    let idle = |figure: fn(&Idle) -> f64| Sample::new(idle.iter().map(figure)).map(|sample| sample.median());
    let limit = |what, unit, bound, measured| Limit { what, unit, bound, measured };
    let most = |what, unit, most: f64, measured| limit(what, unit, Bound::AtMost(most), measured);
    vec![
        most("a drop, counts only, over an empty program", "ns", 25.0, over(tool::COUNTS)),
        limit(
            "the same, beside bpftrace's count()",
            "ns",
            Bound::LessThan(over(tool::BPFTRACE_COUNTS)),
            over(tool::COUNTS),
        ),
        most("a drop with its details, over an empty program", "ns", 90.0, over(tool::DETAILS)),
        most(
            "100,000 drops/s with socket, owner, call chain",
            "% of a core",
            100.0,
            explained(|one| one.cpu * 100.0).map(|sample| sample.median()),
        ),
        most(
            "the same, drops lost in any round",
            "drops",
            0.0,
            explained(|one| one.lost as f64).map(|sample| sample.max()),
        ),
        most("exec to attached", "ms", 60.0, worst(Row::start_up_ms)),
        most("resident memory, peak", "MB", 30.0, worst(Row::peak_mb)),
        most("resident memory, steady", "MB", 15.0, worst(Row::steady_mb)),
        most("serve at rest", "% of a core", 0.1, idle(|one| one.cpu * 100.0)),
        most("serve at rest, wake-ups", "a second", 0.5, idle(|one| one.wake_ups)),
        most("serve, resident memory", "MB", 25.0, idle(|one| one.memory as f64 / 1e6)),
        most("doctor, over its window", "ms", 150.0, doctor.map(Sample::median)),
        most("static binary", "MB", dist::LIMIT as f64 / 1e6, Some(binary as f64 / 1e6)),
        limit(
            "events to JSON lines on one core",
            "million/s",
            Bound::AtLeast(1.0),
            events_per_second.map(Sample::median),
        ),
    ]
}

/// The command that measures the same again.
fn command(options: &Options) -> String {
    format!("cargo xtask bench --rounds {} --packets {}", options.rounds, options.packets)
}
