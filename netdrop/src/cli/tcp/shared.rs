//! What the subcommands of `netdrop tcp` have in common: flags, formats, the run.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::super::Exit;
use super::super::capture::{Capture, explain, identify};
use super::super::details::{AttachName, Details};
use super::super::output::unbuffered_stdout;
use super::super::watch::report;
use super::TcpCapture;
use super::filter::TcpFilters;
use crate::aggregate::{Aggregator, By};
use crate::daemon::{
    Ended, Format, Limits, Outlet, Outlets, Plan, Signals, Sink, Stop, Terminal, Witness, run,
};
use crate::enrich::Enricher;
use crate::kernel::host;
use crate::kernel::identity::Identity;
use crate::output::{Color, Destination, Json, Output, Redrawn, RotatingFile, View};
use crate::owner::Owners;
use crate::probe::Rate;
use crate::tcp::Wanted;
use crate::units::parse_duration;

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TcpFormat {
    /// A table that refreshes in place; on a terminal
    Table,
    /// A line an event, a summary an interval
    Text,
    /// One JSON object a line (`netdrop watch --schema` describes them)
    Json,
    /// Comma-separated values (RFC 4180), a line an event
    Csv,
}

/// Flags of all of them.
#[derive(Debug, Args)]
pub struct Shared {
    #[command(flatten)]
    pub filters: TcpFilters,
    /// How it is written [default: table on a terminal, else text]
    #[arg(short, long, value_enum, help_heading = "Output")]
    pub format: Option<TcpFormat>,
    /// Time between summaries, as in 100ms, 5s, 1m
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME", help_heading = "Output")]
    pub interval: Duration,
    /// Write into this file instead of standard output; an existing one is replaced. Compressed where the name ends in .zst
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,
    /// End after this time, as in 30s, 5m
    #[arg(short, long, value_parser = parse_duration, value_name = "TIME", help_heading = "Limits")]
    pub duration: Option<Duration>,
    /// End after this many events
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    pub count: Option<u64>,
    /// Details per second of each kind of event on each CPU; all are counted [default: 10000]
    #[arg(long, value_name = "N", help_heading = "Details")]
    pub rate: Option<u32>,
    /// Details of every event
    #[arg(long, conflicts_with = "rate", help_heading = "Details")]
    pub all: bool,
    /// How to attach
    #[arg(long, value_enum, default_value_t = AttachName::Auto, hide = true)]
    pub attach: AttachName,
    /// How many connections can be followed at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), hide = true)]
    pub connections: Option<u32>,
}

/// Time between two looks into the rings.
const LOOK: Duration = Duration::from_millis(20);
/// Details per second of each kind of event on each CPU, unless `--rate` says otherwise.
const RATE: u32 = 10_000;
/// Of drops, where they are followed: every one, so this is of no account.
const LINES_RATE: u32 = 1000;

impl Shared {
    /// How many details are wanted.
    fn rate(&self) -> Rate {
        if self.all { Rate::All } else { Rate::PerSecond(self.rate.unwrap_or(RATE)) }
    }

    /// Whether people look at it.
    pub fn on_terminal(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }

    fn has_color(&self) -> bool {
        let variable = |name| std::env::var_os(name);
        self.color.enabled(self.on_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
    }

    /// Everything that is written, and where it goes.
    fn outlets(&self, story: &impl Story) -> anyhow::Result<Outlets> {
        let color = self.has_color();
        let format = match story.format() {
            TcpFormat::Table => {
                let terminal = Terminal::new(color);
                Format::Live(story.table(terminal.view()), terminal)
            }
            TcpFormat::Text => Format::Lines(story.text(color)),
            TcpFormat::Json => Format::Lines(Box::new(Json::new().on(host::read(Path::new("/"))))),
            TcpFormat::Csv => Format::Lines(story.csv().ok_or_else(|| {
                Exit::Usage(
                    "--format csv writes a line an event, and this tells of counts: choose text or json"
                        .into(),
                )
            })?),
        };
        let sink = Sink::start(self.open()?).context("can't start the thread that writes")?;
        Ok(Outlets::new(vec![Outlet::new(format, sink)]))
    }

    fn open(&self) -> anyhow::Result<Box<dyn Destination>> {
        match &self.output {
            Some(path) => Ok(Box::new(RotatingFile::open(path, None)?)),
            None => Ok(Box::new(unbuffered_stdout()?)),
        }
    }

    /// The format that was asked for or suits the place.
    pub fn format(&self) -> TcpFormat {
        self.format.unwrap_or(if self.on_terminal() { TcpFormat::Table } else { TcpFormat::Text })
    }
}

/// What one subcommand tells.
pub trait Story: Sized {
    /// Its flags.
    fn shared(&self) -> &Shared;
    /// The format that was asked for or suits the place.
    fn format(&self) -> TcpFormat {
        self.shared().format()
    }
    /// What is left out in the kernel.
    fn filters(&self) -> crate::filter::Wanted {
        self.shared().filters.wanted()
    }
    /// What is wanted of the kernel.
    fn wanted(&self) -> Wanted;
    /// The table for a terminal.
    fn table(&self, view: View) -> Box<dyn Redrawn>;
    /// Lines for a pipe.
    fn text(&self, color: bool) -> Box<dyn Output>;
    /// Comma-separated values, where there are events to write.
    fn csv(&self) -> Option<Box<dyn Output>> {
        None
    }
    /// Whether drops are followed as well.
    fn with_drops(&self) -> bool {
        false
    }
    /// What the rows of drops tell apart, where they are followed.
    fn by(&self) -> By {
        By::default()
    }
    /// What can't be asked for together.
    fn check_usage(&self) -> Result<(), Exit> {
        Ok(())
    }

    /// Tells it until a limit, a signal or the end of the output.
    fn run(self) -> anyhow::Result<()> {
        self.check_usage()?;
        let shared = self.shared();
        if self.format() == TcpFormat::Table && !shared.on_terminal() {
            return Err(Exit::Usage(
                "--format table draws on a terminal: elsewhere choose text or json".into(),
            )
            .into());
        }
        if shared.filters.explain_filter {
            return explain(&self.filters(), shared.format == Some(TcpFormat::Json));
        }
        let identity = identify(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        report(runtime.block_on(follow(&self, identity))?)
    }
}

async fn follow(story: &impl Story, mut identity: Identity) -> anyhow::Result<Ended> {
    let shared = story.shared();
    // The output is opened before anything is attached: a wrong path shall fail at once.
    let outlets = shared.outlets(story)?;
    let signals = Signals::new()?;
    let release = identity.features.release.clone();
    let (wanted, limits) = (story.filters(), Limits { duration: shared.duration, count: shared.count });
    let capture = TcpCapture {
        story: story.wanted(),
        rate: shared.rate(),
        attach: shared.attach.into(),
        connections: shared.connections,
        deferred: false,
    };
    let kernel = identity.tcp.take().expect("it was read for TCP");
    let tcp = capture.attach(kernel, &wanted, &identity.reasons)?;
    let (aggregator, stop) = (Aggregator::new(story.by()), Stop::Signals(signals));
    let plan = if story.with_drops() {
        let details = Details { rate: None, all: true, socket: true, no_doctor: true, ..Details::default() };
        let wanted = wanted.of_either_side("tcp");
        let capture = Capture { details: &details, rate: LINES_RATE, needs_owners: true, for_daemon: false };
        let captured = capture.attach(identity, &wanted, true)?;
        Plan { tcp: Some(tcp), ..captured.plan(aggregator, outlets, stop, limits, shared.interval) }
    } else {
        Plan {
            probe: None,
            tcp: Some(tcp),
            enricher: Enricher::new("/", identity.reasons),
            owners: Some(Box::new(Owners::new(Path::new("/")))),
            follower: None,
            debug_info: None,
            aggregator,
            witness: Witness::absent(),
            stop,
            outlets,
            limits,
            interval: shared.interval,
            look: LOOK,
            log: None,
            doctor: None,
        }
    };
    eprintln!("netdrop: attached to TCP's tracepoints (kernel {release}); Ctrl-C ends");
    Ok(run(plan).await?)
}
