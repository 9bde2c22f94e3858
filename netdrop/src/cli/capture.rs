//! From flags to the attached program and all that goes with it: what `watch` and `run` have in common.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tracing::info;

use super::details::Details;
use super::output::print;
use super::tcp::TcpCapture;
use super::{Exit, privileges};
use crate::aggregate::Aggregator;
use crate::counters::devlink;
use crate::daemon::serve::Attached;
use crate::daemon::{Attending, Follower, Limits, Outlets, Plan, Stop, TcpSource, Witness};
use crate::enrich::{Enricher, KernelResolver};
use crate::export::metrics::About;
use crate::filter::{Compiled, Explained, Owned, Targets, Wanted, compile};
use crate::kernel::debug_info::DebugInfo;
use crate::kernel::features::Features;
use crate::kernel::identity::Identity;
use crate::kernel::reasons::Reasons;
use crate::owner::Owners;
use crate::probe::{Attach, Kernel, Log, Options, Probe, Rate, RingSize};
use crate::tcp::digest;

/// Time between two looks into the ring buffer, for a fair sample and for every drop: lines are so late at most.
const LOOK: Duration = Duration::from_millis(20);
const LOOK_ALL: Duration = Duration::from_millis(4);
/// Details per second of each kind of TCP's events on each CPU, unless `--rate` says otherwise.
const TCP_RATE: u32 = 1000;
/// Size of the ring buffers, likewise: more than comes between two looks, and on machines with many CPUs an end to it.
const RING: RingSize = RingSize { each: 1 << 20, together: 16 << 20 };
const RING_ALL: RingSize = RingSize { each: 2 << 20, together: 64 << 20 };

/// What is wanted of the program.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'f> {
    /// The flags.
    pub details: &'f Details,
    /// Details per second of each counter, unless `--rate` says otherwise.
    pub rate: u32,
    /// Whether owners are needed, whatever the flags say.
    pub needs_owners: bool,
    /// Whether it is for the daemon: no thread is started before its sandbox is entered, and no counters are compared at an end.
    pub for_daemon: bool,
}

/// The attached program, and what names what it sees.
pub struct Captured {
    probe: Probe,
    enricher: Enricher,
    owners: Option<Box<Owners>>,
    follower: Option<Follower>,
    debug_info: Option<DebugInfo>,
    witness: Witness,
    look: Duration,
    log: Option<Log>,
    tcp: Option<TcpSource>,
    doctor: Option<Attending>,
}

impl Captured {
    /// Waits until the doctor has read its counters: what is begun then, it sees whole.
    pub async fn ready(&mut self) {
        if let Some(doctor) = &mut self.doctor {
            doctor.ready().await;
        }
    }

    /// What is to be run with it.
    pub fn plan(
        self,
        aggregator: Aggregator,
        outlets: Outlets,
        stop: Stop,
        limits: Limits,
        interval: Duration,
    ) -> Plan {
        let Self { probe, enricher, owners, follower, debug_info, witness, look, log, tcp, doctor } = self;
        Plan {
            probe: Some(probe),
            tcp,
            enricher,
            owners,
            follower,
            debug_info,
            aggregator,
            witness,
            stop,
            outlets,
            limits,
            interval,
            look,
            log,
            doctor,
        }
    }
}

impl Captured {
    /// What the daemon reads, without an end: nobody will compare counters before and after.
    pub fn attached(self, about: About) -> Attached {
        let Self { probe, enricher, owners, follower, debug_info, log, tcp, .. } = self;
        let attached_as = match probe.attached_as() {
            Attach::Raw => "raw_tracepoint",
            Attach::TpBtf | Attach::Auto => "tp_btf",
        };
        let about = About { attached_as: attached_as.into(), ..about };
        Attached { probe, enricher, owners, follower, debug_info, log, about, tcp }
    }
}

/// What this kernel is, where these privileges are enough to attach; its TCP too, where that will be followed.
pub fn identify(tcp: bool) -> Result<Identity, Exit> {
    privileges::require(&Features::read(Path::new("/")))?;
    Identity::read_with(Path::new("/"), tcp).map_err(Exit::from)
}

/// Gives the filter its numbers. `reasons` learns those of modules when the filter may name them.
fn compiled(wanted: &Wanted, reasons: &mut Reasons) -> Result<Compiled, Exit> {
    if !wanted.reason.is_empty() || !wanted.class.is_empty() {
        reasons.search_all(Path::new("/"));
    }
    Ok(compile(wanted, reasons, &mut KernelResolver::new("/"))?)
}

/// Says what the filter means, and attaches nothing.
pub fn explain(wanted: &Wanted, as_json: bool) -> anyhow::Result<()> {
    let mut identity = Identity::read(Path::new("/")).map_err(Exit::from)?;
    let explained = compiled(wanted, &mut identity.reasons)?.explained;
    if explained.is_empty() && !as_json {
        return print(b"no filter: every drop passes\n");
    }
    let line = |rule: &Explained| {
        if as_json { serde_json::to_string(rule).expect("a rule is strings alone") } else { rule.to_string() }
    };
    let lines: String = explained.iter().map(|rule| line(rule) + "\n").collect();
    print(lines.as_bytes())
}

impl Capture<'_> {
    /// Attaches the program, and TCP's where `identity` was read for it. From then on every drop is counted, and a line says so; `quiet`:
    /// without that line.
    pub fn attach(self, mut identity: Identity, wanted: &Wanted, quiet: bool) -> anyhow::Result<Captured> {
        let compiled = compiled(wanted, &mut identity.reasons)?;
        let follow = (compiled.targets.clone(), compiled.owned.clone());
        let namespaces = compiled.namespaces();
        let kernel = (&identity).into();
        let options = Options { hardware: self.hardware(&kernel)?, ..self.options(compiled) };
        let named_debug_info = self.named_debug_info(&identity)?;
        let mut witness =
            if self.for_daemon { Witness::absent() } else { Witness::start(self.details.rules) };
        let mut probe = Probe::attach(&kernel, &options).map_err(Exit::from)?;
        let mut follower = followed(&mut probe, follow);
        if let Some(follower) = follower.as_mut().filter(|_| !self.for_daemon) {
            follower.start().context("can't start the thread that keeps the filter up to date")?;
        }
        let tcp = identity.tcp.take().map(|kernel| self.tcp().attach(kernel, wanted, &identity.reasons));
        let tcp = tcp.transpose()?;
        witness.ready();
        self.check_hardware(&probe)?;
        if !quiet {
            announce(&probe, &identity);
        }
        let debug_info = named_debug_info.or_else(|| found_debug_info(&identity, quiet));
        let log = probe.log(options.log_level)?;
        let mut enricher = Enricher::new("/", identity.reasons);
        if self.details.stack {
            enricher.show_stacks();
        }
        Ok(Captured {
            probe,
            enricher,
            owners: self.sockets().then(|| Box::new(Owners::new(Path::new("/")))),
            follower,
            debug_info,
            witness,
            look: if self.details.all { LOOK_ALL } else { LOOK },
            log,
            tcp,
            doctor: if self.for_daemon || self.details.no_doctor {
                None
            } else {
                Attending::start(namespaces)
            },
        })
    }

    /// What of TCP stands beside drops.
    fn tcp(&self) -> TcpCapture {
        let rate =
            if self.details.all { Rate::All } else { Rate::PerSecond(self.details.rate.unwrap_or(TCP_RATE)) };
        TcpCapture {
            story: digest::WANTED,
            rate,
            attach: self.details.attach.into(),
            connections: None,
            deferred: self.for_daemon,
        }
    }

    fn options(&self, compiled: Compiled) -> Options {
        let details = self.details;
        let ring = match details.ring_size {
            Some(each) => RingSize { each, together: u32::MAX },
            None if details.all => RING_ALL,
            None => RING,
        };
        Options {
            attach: details.attach.into(),
            rate: self.rate(),
            snaplen: details.snaplen,
            filter: compiled.filter,
            reasons: compiled.reasons,
            sites: compiled.sites,
            owners: compiled.owned.entries,
            ring,
            sockets: self.sockets(),
            stacks: details.stack || details.rules,
            tasks: details.cpu_task,
            log_level: details.ebpf_log,
            ..Options::default()
        }
    }

    /// Whether the hardware's drops are to be shown: where nobody says so, where a device can tell them.
    fn hardware(&self, kernel: &Kernel) -> Result<bool, Exit> {
        match (self.details.hardware, self.details.no_hardware, kernel.has_traps()) {
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
            Some(error) if self.details.hardware => Err(Exit::Unable(format!("--hardware: {error}"))),
            Some(error) => {
                eprintln!("netdrop: what hardware drops isn't shown: {error}");
                Ok(())
            }
        }
    }

    fn sockets(self) -> bool {
        let Details { socket, no_socket, all, .. } = self.details;
        *socket || self.needs_owners || (!all && !no_socket)
    }

    /// Of the file that the user names: it must be of use.
    fn named_debug_info(&self, identity: &Identity) -> anyhow::Result<Option<DebugInfo>> {
        let Some(path) = &self.details.vmlinux else { return Ok(None) };
        let found = DebugInfo::find(Path::new("/"), &identity.features.release, Some(path))?;
        eprintln!("netdrop: {found}");
        Ok(Some(found))
    }

    fn rate(self) -> Rate {
        if self.details.all { Rate::All } else { Rate::PerSecond(self.details.rate.unwrap_or(self.rate)) }
    }
}

/// Keeps up to date what the filter names, where that may change.
fn followed(probe: &mut Probe, (targets, owned): (Targets, Owned)) -> Option<Follower> {
    Some(Follower::new(Path::new("/"), targets, &owned, probe.take_owners()?))
}

/// Where it usually lies, or a line on how to get it. Nobody asked for it, so it's looked for after the attachment.
fn found_debug_info(identity: &Identity, quiet: bool) -> Option<DebugInfo> {
    DebugInfo::find(Path::new("/"), &identity.features.release, None)
        .inspect(|found| tell(found, quiet))
        .inspect_err(|error| tell(error, quiet))
        .ok()
}

fn tell(what: &impl std::fmt::Display, quiet: bool) {
    if quiet {
        info!("{what}");
    } else {
        eprintln!("netdrop: {what}");
    }
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
