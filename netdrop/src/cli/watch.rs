//! `netdrop watch`.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use netdrop_common::SNAPLEN_MAX;

use super::filter::Filters;
use super::output::{FormatName, OutputFlags, print};
use super::{Exit, privileges};
use crate::aggregate::Aggregator;
use crate::daemon::{Ended, Limits, Plan, Signals, Sink, SinkError, Witness, run};
use crate::enrich::{Enricher, KernelResolver};
use crate::filter::compile;
use crate::kernel::features::Features;
use crate::kernel::identity::Identity;
use crate::output::Output as _;
use crate::output::json::SCHEMA;
use crate::probe::{Attach, Options, Probe, Rate};
use crate::units::{parse_duration, parse_size};

/// Details per second, counter and CPU that a format shows unless `--rate` says otherwise.
const LINES_RATE: u32 = 1000;
/// The table needs details only for its examples of flows.
const TABLE_RATE: u32 = 10;
/// Time between two looks into the ring buffer, for a fair sample and for every drop: lines are so late at most.
const LOOK: Duration = Duration::from_millis(20);
const LOOK_ALL: Duration = Duration::from_millis(4);
/// Size of the ring buffer, likewise: more than comes between two looks.
const RING_BYTES: u32 = 1 << 20;
const RING_BYTES_ALL: u32 = 2 << 20;

/// What people ask for most.
const EXAMPLES: &str = "\
Examples:
  netdrop watch --not-class lifecycle
  netdrop watch --by reason,flow --host 10.0.0.0/8 --duration 30s
  netdrop watch --format json --output drops.jsonl --rotate 100M";

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
    /// Details per second of each site, reason, device, namespace and protocol on each CPU; 0: counts alone
    /// [default: 1000, for a table 10]
    #[arg(long, value_name = "N", help_heading = "Details")]
    rate: Option<u32>,
    /// Details of every drop
    #[arg(long, conflicts_with = "rate", help_heading = "Details")]
    all: bool,
    /// Bytes of the packet that are copied, 64 to 256
    #[arg(long, default_value_t = 96, value_parser = snaplen, value_name = "BYTES", help_heading = "Details")]
    snaplen: u32,
    /// Name the rules that dropped (nftables, iptables, tc, XDP), by their counters before and after: runs nft and
    /// iptables-save in each network namespace
    #[arg(long, help_heading = "Details")]
    rules: bool,
    /// Size of the ring buffer, a power of two as in 8M [default: 1M, with --all 2M]
    #[arg(long, value_parser = ring_size, value_name = "SIZE", help_heading = "Details")]
    ring_size: Option<u32>,
    /// How to attach
    #[arg(long, value_enum, default_value_t = AttachName::Auto, hide = true)]
    attach: AttachName,
    /// What the eBPF program logs: 0 (nothing) to 5
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=5), hide = true)]
    ebpf_log: u8,
    /// Print the JSON Schema of `--format json` and end
    #[arg(long)]
    schema: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AttachName {
    Auto,
    TpBtf,
    Raw,
}

impl Watch {
    /// Watches until a limit, a signal or the end of the output.
    pub fn run(self) -> anyhow::Result<()> {
        if self.schema {
            return print(SCHEMA.as_bytes());
        }
        self.check_usage()?;
        privileges::require(&Features::read(Path::new("/")))?;
        let identity = Identity::read(Path::new("/")).map_err(Exit::from)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        let ended = runtime.block_on(self.watch(identity))?;
        report(ended)
    }

    fn check_usage(&self) -> Result<(), Exit> {
        let usage = |message: &str| Err(Exit::Usage(message.into()));
        if self.rate == Some(0) && self.output.by().needs_details() {
            return usage(
                "--by flow, src, dst and port need details of drops, and --rate 0 asks for none: \
                 leave out --rate or ask for more",
            );
        }
        if self.rate == Some(0) && self.count.is_some() {
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
        let sink = Sink::start(self.output.open()?).context("can't start the thread that writes")?;
        let options = self.options(&identity)?;
        let signals = Signals::new()?;
        let mut witness = Witness::start(self.rules);
        let probe = Probe::attach(&(&identity).into(), &options).map_err(Exit::from)?;
        witness.ready();
        announce(&probe, &identity);
        let logger = probe.log(options.log_level)?;
        let plan = Plan {
            probe,
            enricher: Enricher::new("/", identity.reasons),
            aggregator: Aggregator::new(self.output.by()),
            format: self.output.format(),
            witness,
            signals,
            sink,
            limits: Limits { duration: self.duration, count: self.count },
            interval: self.output.interval,
            look: if self.all { LOOK_ALL } else { LOOK },
        };
        let ended = run(plan).await;
        drop(logger);
        Ok(ended?)
    }

    fn options(&self, identity: &Identity) -> Result<Options, Exit> {
        let mut identity_reasons = identity.reasons.clone();
        let wanted = self.filters.wanted();
        if !wanted.reason.is_empty() || !wanted.class.is_empty() {
            identity_reasons.search_all(Path::new("/"));
        }
        let compiled = compile(&wanted, &identity_reasons, &mut KernelResolver::new("/"))?;
        let default_ring = if self.all { RING_BYTES_ALL } else { RING_BYTES };
        Ok(Options {
            attach: match self.attach {
                AttachName::Auto => Attach::Auto,
                AttachName::TpBtf => Attach::TpBtf,
                AttachName::Raw => Attach::Raw,
            },
            rate: self.rate(),
            snaplen: self.snaplen,
            filter: compiled.filter,
            reasons: compiled.reasons,
            ring_bytes: self.ring_size.unwrap_or(default_ring),
            log_level: self.ebpf_log,
        })
    }

    fn rate(&self) -> Rate {
        if self.all {
            return Rate::All;
        }
        Rate::PerSecond(self.rate.unwrap_or(match self.output.format_name() {
            FormatName::Table if !self.output.by().needs_details() => TABLE_RATE,
            FormatName::Dropwatch => 0,
            _ => LINES_RATE,
        }))
    }
}

/// One line on standard error: from here on every drop is counted.
fn announce(probe: &Probe, identity: &Identity) {
    let how = match probe.attached_as() {
        Attach::Raw => "raw tracepoint",
        Attach::TpBtf | Attach::Auto => "tp_btf",
    };
    eprintln!(
        "netdrop: attached to skb:kfree_skb ({how}, kernel {}); Ctrl-C ends",
        identity.features.release
    );
    if !identity.tracepoint.has_reason() {
        eprintln!(
            "netdrop: this kernel gives no drop reasons (they came with 5.17): functions tell where, not why"
        );
    }
}

/// What became of the output decides how the run ends; whatever it was, the counts are shown.
fn report(ended: Ended) -> anyhow::Result<()> {
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

fn snaplen(text: &str) -> Result<u32, String> {
    const LEAST: u32 = 64;
    match text.parse() {
        Ok(bytes @ LEAST..=SNAPLEN_MAX) => Ok(bytes),
        _ => Err(format!("write a number of bytes, {LEAST} to {SNAPLEN_MAX}")),
    }
}

fn ring_size(text: &str) -> Result<u32, String> {
    const PAGE: u32 = 4096;
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(bytes) {
        Ok(bytes) if bytes >= PAGE && bytes.is_power_of_two() => Ok(bytes),
        _ => Err("write a power of two, 4K to 2G, as in 1M or 8M".into()),
    }
}
