//! `netdrop watch`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use netdrop_common::SNAPLEN_MAX;
use tracing::info;

use super::filter::Filters;
use super::output::{FormatName, OutputFlags, print};
use super::{Exit, privileges};
use crate::aggregate::Aggregator;
use crate::counters::devlink;
use crate::daemon::{Ended, Follower, Limits, Plan, Signals, SinkError, Witness, run};
use crate::enrich::{Enricher, KernelResolver};
use crate::filter::{Compiled, Explained, Owned, Targets, compile};
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::features::Features;
use crate::kernel::identity::Identity;
use crate::kernel::reasons::Reasons;
use crate::output::Output as _;
use crate::output::json::SCHEMA;
use crate::owner::Owners;
use crate::probe::{Attach, Kernel, Options, Probe, Rate, RingSize};
use crate::units::{parse_duration, parse_size};

/// Details per second, counter and CPU that a format shows unless `--rate` says otherwise.
const LINES_RATE: u32 = 1000;
/// The table needs details only for its examples of flows.
const TABLE_RATE: u32 = 10;
/// Time between two looks into the ring buffer, for a fair sample and for every drop: lines are so late at most.
const LOOK: Duration = Duration::from_millis(20);
const LOOK_ALL: Duration = Duration::from_millis(4);
/// Size of the ring buffers, likewise: more than comes between two looks, and on machines with many CPUs an end to it.
const RING: RingSize = RingSize { each: 1 << 20, together: 16 << 20 };
const RING_ALL: RingSize = RingSize { each: 2 << 20, together: 64 << 20 };

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
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that stands for itself")]
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
    /// Bytes of the packet that are copied, 64 to 256: what an event in the ring buffer has room for
    #[arg(long, default_value_t = 96, value_parser = snaplen, value_name = "BYTES", help_heading = "Details")]
    snaplen: u32,
    /// Show the socket of each drop: its state, queues and limits, and who owns it [with --all: only on demand]
    #[arg(long, overrides_with = "no_socket", help_heading = "Details")]
    socket: bool,
    /// Leave sockets out
    #[arg(long, help_heading = "Details")]
    no_socket: bool,
    /// Show the way through the kernel that led to each drop
    #[arg(long, help_heading = "Details")]
    stack: bool,
    /// Show the task that ran on the CPU: it worked on the packet, and need not have to do with it
    #[arg(long, help_heading = "Details")]
    cpu_task: bool,
    /// Name the rules that dropped (nftables, iptables, tc, XDP), by their counters before and after and by the hooks in
    /// the drops' call chains: runs nft and iptables-save in each network namespace
    #[arg(long, help_heading = "Details")]
    rules: bool,
    /// Show what hardware drops, also where no device can tell yet [default: where one can when netdrop starts]. It tells of
    /// traps that are set to it: devlink trap set DEVICE trap NAME action trap
    #[arg(long, overrides_with = "no_hardware", help_heading = "Details")]
    hardware: bool,
    /// Leave the hardware's drops out
    #[arg(long, help_heading = "Details")]
    no_hardware: bool,
    /// Take source lines from this file, which must be of the running kernel's build [default: looked for where
    /// distributions and debuginfod put it]
    #[arg(long, value_name = "FILE", help_heading = "Details")]
    vmlinux: Option<PathBuf>,
    /// Size of each CPU's ring buffer, as in 8M [default: 1M, with --all 2M; less on many CPUs]
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
        if self.filters.explain_filter {
            return self.explain_filter();
        }
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
                "--by flow, src, dst, port, owner and container need details of drops, and --rate 0 asks for none: \
                 leave out --rate or ask for more",
            );
        }
        if self.no_socket && self.output.by().needs_owners() {
            return usage("--by owner and container need the sockets of drops: leave out --no-socket");
        }
        if self.output.is_one_file_for_both() {
            return usage("--output and --pcap name the same file: lines and packets need one each");
        }
        if self.rate == Some(0) && self.output.has_packets() {
            return usage(
                "--pcap writes the packets of drops in detail, and --rate 0 asks for none: \
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

    async fn watch(self, mut identity: Identity) -> anyhow::Result<Ended> {
        // The output is opened before anything is attached: a wrong path shall fail at once.
        let outlets = self.output.outlets(&identity, self.filters.choose_reasons())?;
        let compiled = self.compiled(&mut identity.reasons)?;
        let follow = (compiled.targets.clone(), compiled.owned.clone());
        let kernel = (&identity).into();
        let options = Options { hardware: self.hardware(&kernel)?, ..self.options(compiled) };
        let named_debug_info = self.named_debug_info(&identity)?;
        let signals = Signals::new()?;
        let mut witness = Witness::start(self.rules);
        let mut probe = Probe::attach(&kernel, &options).map_err(Exit::from)?;
        let follower = followed(&mut probe, follow)?;
        witness.ready();
        self.check_hardware(&probe)?;
        announce(&probe, &identity);
        let debug_info = named_debug_info.or_else(|| found_debug_info(&identity));
        let logger = probe.log(options.log_level)?;
        let mut enricher = Enricher::new("/", identity.reasons);
        if self.stack {
            enricher.show_stacks();
        }
        let plan = Plan {
            probe,
            enricher,
            owners: self.sockets().then(|| Box::new(Owners::new(Path::new("/")))),
            follower,
            debug_info,
            aggregator: Aggregator::new(self.output.by()),
            outlets,
            witness,
            signals,
            limits: Limits { duration: self.duration, count: self.count },
            interval: self.output.interval,
            look: if self.all { LOOK_ALL } else { LOOK },
        };
        let ended = run(plan).await;
        drop(logger);
        Ok(ended?)
    }

    /// `reasons` learns those of modules when the filter may name them.
    fn compiled(&self, reasons: &mut Reasons) -> Result<Compiled, Exit> {
        let wanted = self.filters.wanted();
        if !wanted.reason.is_empty() || !wanted.class.is_empty() {
            reasons.search_all(Path::new("/"));
        }
        Ok(compile(&wanted, reasons, &mut KernelResolver::new("/"))?)
    }

    /// Says what the filter means, and attaches nothing.
    fn explain_filter(&self) -> anyhow::Result<()> {
        let mut identity = Identity::read(Path::new("/")).map_err(Exit::from)?;
        let explained = self.compiled(&mut identity.reasons)?.explained;
        if explained.is_empty() && self.output.format != Some(FormatName::Json) {
            return print(b"no filter: every drop passes\n");
        }
        let line = |rule: &Explained| match self.output.format {
            Some(FormatName::Json) => serde_json::to_string(rule).expect("a rule is strings alone"),
            _ => rule.to_string(),
        };
        let lines: String = explained.iter().map(|rule| line(rule) + "\n").collect();
        print(lines.as_bytes())
    }

    fn options(&self, compiled: Compiled) -> Options {
        let ring = match self.ring_size {
            Some(each) => RingSize { each, together: u32::MAX },
            None if self.all => RING_ALL,
            None => RING,
        };
        Options {
            attach: match self.attach {
                AttachName::Auto => Attach::Auto,
                AttachName::TpBtf => Attach::TpBtf,
                AttachName::Raw => Attach::Raw,
            },
            rate: self.rate(),
            snaplen: self.snaplen,
            filter: compiled.filter,
            reasons: compiled.reasons,
            sites: compiled.sites,
            owners: compiled.owned.entries,
            ring,
            sockets: self.sockets(),
            stacks: self.stack || self.rules,
            tasks: self.cpu_task,
            log_level: self.ebpf_log,
            ..Options::default()
        }
    }

    /// Whether the hardware's drops are to be shown: where nobody says so, where a device can tell them.
    fn hardware(&self, kernel: &Kernel) -> Result<bool, Exit> {
        match (self.hardware, self.no_hardware, kernel.has_traps()) {
            (true, _, false) => Err(Exit::Unable(
                "--hardware: this kernel can't tell what hardware drops (it has no devlink); leave it out"
                    .into(),
            )),
            (true, ..) => Ok(true),
            (_, true, _) | (_, _, false) => Ok(false),
            (false, false, true) => {
                let asked = devlink::has_traps();
                Ok(asked.inspect_err(|error| info!("devlink can't be asked: {error}")).unwrap_or(false))
            }
        }
    }

    /// What the user asked for must be there; what is there by itself may be missing.
    fn check_hardware(&self, probe: &Probe) -> Result<(), Exit> {
        match probe.without_hardware() {
            None => Ok(()),
            Some(error) if self.hardware => Err(Exit::Unable(format!("--hardware: {error}"))),
            Some(error) => {
                eprintln!("netdrop: what hardware drops isn't shown: {error}");
                Ok(())
            }
        }
    }

    fn sockets(&self) -> bool {
        self.socket || self.output.by().needs_owners() || (!self.all && !self.no_socket)
    }

    /// Of the file that the user names: it must be of use.
    fn named_debug_info(&self, identity: &Identity) -> anyhow::Result<Option<DebugInfo>> {
        let Some(path) = &self.vmlinux else { return Ok(None) };
        let found = DebugInfo::find(Path::new("/"), &identity.features.release, Some(path))?;
        eprintln!("netdrop: {found}");
        Ok(Some(found))
    }

    fn rate(&self) -> Rate {
        if self.all {
            return Rate::All;
        }
        Rate::PerSecond(self.rate.unwrap_or(match self.output.format_name() {
            _ if self.output.has_packets() => LINES_RATE,
            FormatName::Table if !self.output.by().needs_details() => TABLE_RATE,
            FormatName::Dropwatch => 0,
            _ => LINES_RATE,
        }))
    }
}

/// Keeps up to date what the filter names, where that may change.
fn followed(probe: &mut Probe, (targets, owned): (Targets, Owned)) -> anyhow::Result<Option<Follower>> {
    let Some(map) = probe.take_owners() else { return Ok(None) };
    let follower = Follower::start(Path::new("/"), targets, &owned, map);
    Ok(Some(follower.context("can't start the thread that keeps the filter up to date")?))
}

/// Where it usually lies, or a line on how to get it. Nobody asked for it, so it's looked for after the attachment.
fn found_debug_info(identity: &Identity) -> Option<DebugInfo> {
    DebugInfo::find(Path::new("/"), &identity.features.release, None)
        .inspect(|found| eprintln!("netdrop: {found}"))
        .inspect_err(|error| eprintln!("netdrop: {error}"))
        .ok()
}

/// One line on standard error: from here on every drop is counted.
fn announce(probe: &Probe, identity: &Identity) {
    let how = match probe.attached_as() {
        Attach::Raw => "raw tracepoint",
        Attach::TpBtf | Attach::Auto => "tp_btf",
    };
    let and = if probe.sees_hardware() { " and devlink:devlink_trap_report" } else { "" };
    eprintln!(
        "netdrop: attached to skb:kfree_skb{and} ({how}, kernel {}); Ctrl-C ends",
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
    const LEAST: u32 = 4 << 10;
    const MOST: u32 = 512 << 20;
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(bytes) {
        Ok(bytes @ LEAST..=MOST) => Ok(bytes),
        _ => Err("write a size from 4K to 512M, as in 1M or 8M".into()),
    }
}
