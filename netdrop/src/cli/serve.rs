//! `netdrop serve`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::sync::watch;
use tracing::info;

use super::Exit;
use super::capture::{Capture, explain, identify};
use super::details::{AttachName, Details};
use super::filter::Filters;
use super::output::print;
use crate::daemon::serve::{Attach, Attached, Beside, Daemon, Service, Signals, needs};
use crate::export::hub;
use crate::export::metrics::{About, Metrics};
use crate::kernel::identity::Identity;
use crate::sandbox::{Prepared, plan};
use crate::settings::{self, Hardware, Override, Settings, SettingsError, Sources, environment, named};
use crate::units::parse_duration;

/// What people ask for most.
const EXAMPLES: &str = "\
Settings come from the file, then from variables (NETDROP_CAPTURE_INTERVAL=5s), then from flags: the last word counts.
SIGHUP has the file read again; an error in it keeps the settings that were.

Examples:
  netdrop serve --check-config > netdrop.toml
  netdrop serve --config netdrop.toml --set metrics.labels=reason,class,netns
  netdrop serve --not-class lifecycle --log journald --metrics-file /var/lib/node_exporter/netdrop.prom";

/// `netdrop serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::doc_markdown, reason = "the comments are help texts, and terminals show backticks")]
pub struct Serve {
    /// Read the settings from this file [default: /etc/netdrop/netdrop.toml, if there is one]
    #[arg(short, long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Print the settings that result as a file, and end; with an error in them end with code 2
    #[arg(long, help_heading = "Settings")]
    check_config: bool,
    /// Print which privileges are kept after the start, by whom and why, and what is lost without them, and end
    #[arg(long, help_heading = "Settings")]
    print_privileges: bool,
    /// How --print-privileges writes them
    #[arg(short, long, value_enum, default_value_t = PrivilegesFormat::Table, help_heading = "Settings")]
    format: PrivilegesFormat,
    /// Listen here [default: 127.0.0.1:13767]; several, and unix:/PATH, are possible
    #[arg(long, value_name = "ADDRESS,…", value_delimiter = ',', help_heading = "Settings")]
    listen: Vec<String>,
    /// Set any key of the file, as in metrics.max_series=100
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = Override::parse, help_heading = "Settings")]
    set: Vec<Override>,
    /// Count TCP's own events too: segments sent again, resets, ends of connections, round-trip times
    #[arg(long, help_heading = "Settings")]
    tcp: bool,
    /// Time between two readings of the counters [default: 10s]
    #[arg(short, long, value_parser = parse_duration, value_name = "TIME", help_heading = "Settings")]
    interval: Option<Duration>,
    /// Details per second of each site, reason, device, namespace and protocol on each CPU; 0: counts alone [default: 10]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    rate: Option<u32>,
    /// Write drops as lines of JSON to stdout, file (log.file), syslog or journald
    #[arg(long, value_name = "TARGET,…", value_delimiter = ',', help_heading = "Settings")]
    log: Vec<String>,
    /// Write the metrics into this file at each interval, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    metrics_file: Option<PathBuf>,
    #[command(flatten)]
    filters: Filters,
}

impl Serve {
    /// Serves until SIGINT or SIGTERM.
    pub fn run(self) -> anyhow::Result<()> {
        if self.filters.explain_filter {
            return explain(&self.filters.wanted(), false);
        }
        let sources = self.sources();
        let settings = sources.read().map_err(Exit::from)?;
        settings.http.check().map_err(|error| Exit::Usage(error.to_string()))?;
        if self.check_config {
            let text = settings.to_toml().context("the settings can't be written as a file")?;
            return print(text.as_bytes());
        }
        let config = sources.file().map(Path::to_owned).unwrap_or_default();
        let plan = plan(&settings.sandbox, needs(&settings, &config).ask_kernel());
        if self.print_privileges {
            let text = match self.format {
                PrivilegesFormat::Table => plan.to_string(),
                PrivilegesFormat::Json => plan.to_json(),
            };
            return print(text.as_bytes());
        }
        keep_small();
        // Its helper is as large as this process is now, and outside of the event loop.
        let sandbox = plan.prepare()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("can't start the event loop")?;
        runtime.block_on(serve(sources, settings, sandbox))
    }

    fn sources(&self) -> Sources {
        let variables = std::env::vars_os();
        let variables =
            variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let overrides =
            environment(variables).into_iter().chain(self.set.iter().cloned()).chain(self.flags());
        Sources::new(self.config.clone(), overrides.collect())
    }

    /// The flags as keys of the file.
    fn flags(&self) -> Vec<Override> {
        let flag = |flag: &str, path: &[&str], value: String| Override {
            from: format!("--{flag}"),
            path: path.iter().map(|each| (*each).to_owned()).collect(),
            value,
        };
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let interval = self.interval.map(|time| settings::Time(time).to_string());
        let list = |values: &[String]| (!values.is_empty()).then(|| values.join(","));
        let single = [
            ("listen", ["http", "listen"], list(&self.listen)),
            ("interval", ["capture", "interval"], interval),
            ("rate", ["capture", "rate"], self.rate.map(|rate| rate.to_string())),
            ("tcp", ["capture", "tcp"], self.tcp.then(|| "true".into())),
            ("log", ["log", "to"], list(&self.log)),
            ("metrics-file", ["metrics", "file"], self.metrics_file.as_ref().map(text)),
        ];
        let mut flags: Vec<_> =
            single.into_iter().filter_map(|(name, path, value)| Some(flag(name, &path, value?))).collect();
        for (name, choice) in named(&self.filters.wanted()) {
            for (prefix, table, names) in [("", "only", &choice.only), ("not-", "not", &choice.not)] {
                if !names.is_empty() {
                    flags.push(flag(&format!("{prefix}{name}"), &["capture", table, name], names.join(",")));
                }
            }
        }
        flags
    }
}

/// How privileges are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrivilegesFormat {
    /// For people
    Table,
    /// One JSON object a line
    Json,
}

/// Keeps the kernel from making huge pages of this process's memory: khugepaged (`mm/khugepaged.c`) puts 2 MiB in the place of a few pages
/// that are in use, and brings back what the allocator gave back. A daemon of some megabytes would grow by half.
fn keep_small() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        info!("the kernel may make huge pages of netdrop's memory (PR_SET_THP_DISABLE: {error})");
    }
}

async fn serve(sources: Sources, settings: Settings, sandbox: Prepared) -> anyhow::Result<()> {
    let signals = Signals::new()?;
    let metrics = Metrics::new(&settings.metrics);
    // A port that is taken is told before anything is attached.
    let beside = Beside::prepare(&settings, &metrics)?;
    let (readers, hub) = hub();
    let (settings, followed) = watch::channel(Arc::new(settings));
    let attach: Attach = Box::new(attach);
    let service = Service { sources, settings, attach, hub, metrics: metrics.clone(), signals };
    let daemon = Daemon::start(service, || {
        let entered = sandbox.enter()?;
        info!("sandbox: {entered}");
        for lack in &entered.lacks {
            eprintln!("netdrop: sandbox: {lack}");
        }
        Ok(())
    })?;
    beside.announce();
    let beside = beside.run(&readers, &metrics, followed);
    let ended = Box::pin(daemon.run()).await;
    beside.end().await;
    Ok(ended?)
}

/// Attaches as the settings say.
fn attach(capture: &settings::Capture) -> anyhow::Result<Attached> {
    let identity = identify(capture.tcp)?;
    let about = about(&identity);
    let details = details(capture);
    let rate = capture.rate;
    let captured = Capture { details: &details, rate, needs_owners: false, for_daemon: true }.attach(
        identity,
        &capture.wanted(),
        true,
    )?;
    let mut attached = captured.attached(about);
    if capture.vmlinux.as_os_str().is_empty() {
        attached.debug_info = None;
    }
    let About { kernel, attached_as, .. } = &attached.about;
    eprintln!("netdrop: attached to skb:kfree_skb ({attached_as}, kernel {kernel})");
    Ok(attached)
}

fn details(capture: &settings::Capture) -> Details {
    Details {
        rate: Some(capture.rate),
        all: false,
        snaplen: capture.snaplen,
        socket: capture.sockets,
        no_socket: !capture.sockets,
        stack: capture.stack,
        cpu_task: false,
        rules: false,
        hardware: capture.hardware == Hardware::On,
        no_doctor: true,
        no_hardware: capture.hardware == Hardware::Off,
        tcp: capture.tcp,
        vmlinux: Some(capture.vmlinux.clone()).filter(|path| *path != Path::new("")),
        ring_size: capture.ring_size.0.and_then(|bytes| u32::try_from(bytes).ok()),
        attach: AttachName::Auto,
        ebpf_log: 0,
    }
}

/// What this kernel gives, and what it lacks.
fn about(identity: &Identity) -> About {
    const WITH_SOCKET: usize = 4;
    About {
        version: env!("CARGO_PKG_VERSION").into(),
        kernel: identity.features.release.clone(),
        attached_as: String::new(),
        features: vec![
            ("reasons", identity.tracepoint.has_reason()),
            ("receiving_socket", identity.tracepoint.arguments >= WITH_SOCKET),
            ("recursion_misses", identity.guarded),
            ("qdisc_reasons", identity.qdisc_drop.is_some()),
            ("hardware_traps", crate::probe::Kernel::from(identity).has_traps()),
        ],
    }
}

impl From<SettingsError> for Exit {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}
