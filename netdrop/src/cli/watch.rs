//! `netdrop watch`.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::Exit;
use super::capture::{Capture, explain, identify};
use super::details::Details;
use super::filter::Filters;
use super::output::{FormatName, OutputFlags, print};
use crate::aggregate::Aggregator;
use crate::daemon::{Ended, Limits, Signals, SinkError, Stop, run};
use crate::kernel::identity::Identity;
use crate::output::Output as _;
use crate::output::json::schema;
use crate::units::parse_duration;

/// Details per second, counter and CPU that a format shows unless `--rate` says otherwise.
const LINES_RATE: u32 = 1000;
/// The table needs details only for its examples of flows.
const TABLE_RATE: u32 = 10;
/// What people ask for most.
const EXAMPLES: &str = "\
Examples:
  netdrop watch --not-class lifecycle
  netdrop watch --by reason,flow --host 10.0.0.0/8 --duration 30s
  netdrop watch --format json --output drops.jsonl --rotate 100M
  netdrop watch --reason NO_SOCKET --all --pcap drops.pcapng";

/// `netdrop watch`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Watch {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    output: OutputFlags,
    /// End after this time, as in 30s, 5m
    #[arg(short, long, value_parser = parse_duration, value_name = "TIME", help_heading = "Limits")]
    duration: Option<Duration>,
    /// End after this many drops in detail
    #[arg(short, long, value_name = "N", value_parser = drop_count, help_heading = "Limits")]
    count: Option<u64>,
    #[command(flatten)]
    details: Details,
    /// Print the JSON Schema of `--format json` and end
    #[arg(long)]
    schema: bool,
}

impl Watch {
    /// Watches until a limit, a signal or the end of the output.
    pub fn run(self) -> anyhow::Result<()> {
        if self.schema {
            return print(schema().as_bytes());
        }
        self.check_usage()?;
        if self.filters.explain_filter {
            return explain(&self.filters.wanted(), self.output.format == Some(FormatName::Json));
        }
        let identity = identify(self.details.tcp)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        let ended = runtime.block_on(self.watch(identity))?;
        report(ended)
    }

    fn check_usage(&self) -> Result<(), Exit> {
        let usage = |message: &str| Err(Exit::Usage(message.into()));
        if self.details.rate == Some(0) && self.output.by().needs_details() {
            return usage(
                "--by flow, src, dst, port, owner and container need details of drops, and --rate 0 asks for none: \
                 leave out --rate or ask for more",
            );
        }
        if self.details.no_socket && self.output.by().needs_owners() {
            return usage("--by owner and container need the sockets of drops: leave out --no-socket");
        }
        if self.output.is_one_file_for_both() {
            return usage("--output and --pcap name the same file: lines and packets need one each");
        }
        if self.details.rate == Some(0) && self.output.has_packets() {
            return usage(
                "--pcap writes the packets of drops in detail, and --rate 0 asks for none: \
                 leave out --rate or ask for more",
            );
        }
        if self.details.rate == Some(0) && self.count.is_some() {
            return usage(
                "--count counts drops in detail, and --rate 0 asks for none: \
                 leave out --rate, or end by --duration",
            );
        }
        if self.output.format_name() == FormatName::Table && !self.output.on_terminal() {
            return usage("--format table draws on a terminal: elsewhere choose text, json or dropwatch");
        }
        Ok(())
    }

    async fn watch(self, identity: Identity) -> anyhow::Result<Ended> {
        // The output is opened before anything is attached: a wrong path shall fail at once.
        let outlets = self.output.outlets(&identity, self.filters.choose_reasons())?;
        let signals = Signals::new()?;
        let capture = Capture {
            details: &self.details,
            rate: self.rate(),
            needs_owners: self.output.by().needs_owners(),
            for_daemon: false,
        };
        let captured = capture.attach(identity, &self.filters.wanted(), false)?;
        let limits = Limits { duration: self.duration, count: self.count };
        let (aggregator, stop) = (Aggregator::new(self.output.by()), Stop::Signals(signals));
        Ok(run(captured.plan(aggregator, outlets, stop, limits, self.output.interval)).await?)
    }

    /// Details per second of each counter that the format has use for.
    fn rate(&self) -> u32 {
        match self.output.format_name() {
            _ if self.output.has_packets() => LINES_RATE,
            FormatName::Table if !self.output.by().needs_details() => TABLE_RATE,
            FormatName::Dropwatch => 0,
            _ => LINES_RATE,
        }
    }
}

/// What became of the output decides how the run ends; whatever it was, the counts are shown.
pub fn report(ended: Ended) -> anyhow::Result<()> {
    let error = match ended.output {
        Ok(()) | Err(SinkError::Closed) => return Ok(()),
        Err(error) => error,
    };
    let mut counts = Vec::new();
    crate::output::Text::new(crate::output::Clock::local(), false).end(&ended.end, &mut counts);
    eprint!("{}", String::from_utf8_lossy(&counts));
    Err(error).context("the output was cut short; the counts above are complete")
}

fn drop_count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("write a number of drops, 1 or more".into()),
        Ok(count) => Ok(count),
    }
}
