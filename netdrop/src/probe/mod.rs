//! The eBPF programs, from their object to their counts and events. The only folder that names aya.

mod counts;
mod error;
mod inspect;
mod log;
mod memory_lock;
mod object;
mod owners;
mod patch;
mod per_cpu;
mod program;
mod ring;
mod stacks;
mod sys;
pub mod tcp;
mod traps;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;

use aya::maps::MapData;
pub use counts::Counts;
pub use error::ProbeError;
pub use inspect::{program_name, tcx_programs};
pub use log::Log;
use netdrop_common::{
    ABSENT, Event, Extra, Filter, Layout, OwnerKey, Piece, RATE_ALL, SNAPLEN_MAX, Settings,
};
pub use owners::OwnerMap;
use program::Program;
use ring::Geometry;
pub use ring::{RingSize, Rings};
pub use stacks::Stacks;
use tracing::{debug, warn};
pub use traps::Traps;

use crate::kernel::identity::{Cast, Identity};

/// How the program hangs on the tracepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attach {
    /// `tp_btf`, and where the kernel refuses it the raw tracepoint.
    #[default]
    Auto,
    /// `BPF_PROG_TYPE_TRACING` with `BPF_TRACE_RAW_TP`: typed loads (5.5 on).
    TpBtf,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`: probe reads.
    Raw,
}

/// How many details are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Every drop's.
    All,
    /// So many per second for each counter (site, reason, device, namespace, protocol) on each CPU; 0: none.
    PerSecond(u32),
}

/// What this kernel is, as far as the program must know.
#[derive(Debug, Clone, Copy)]
pub struct Kernel {
    /// Where its structs' members are.
    pub layout: Layout,
    /// BTF type id of `btf_trace_kfree_skb`.
    pub tracepoint_type_id: u32,
    /// Arguments of the tracepoint: 2, 3 or 4.
    pub arguments: u32,
    /// Whether it keeps a tracing program from running inside itself (6.1 on).
    pub guarded: bool,
    /// How headers can be read without a helper.
    pub cast: Option<Cast>,
    /// The number of `QDISC_DROP` where the tracepoint `qdisc_drop` tells a finer reason.
    pub qdisc_drop: Option<u32>,
}

impl Kernel {
    /// How deep the program may be interrupted by itself on one CPU, as far as each run gets a state of its own: in a
    /// process and in an interrupt that drops packets. What comes deeper still is counted as missed.
    fn levels(&self) -> u32 {
        if self.guarded { 1 } else { 2 }
    }

    /// Whether it can tell what hardware drops (devlink-trap; 5.9 on, where devlink is built in).
    pub fn has_traps(&self) -> bool {
        self.layout.trap_name != ABSENT && self.layout.trap_type != ABSENT
    }
}

impl From<&Identity> for Kernel {
    fn from(identity: &Identity) -> Self {
        Self {
            layout: identity.layout,
            tracepoint_type_id: identity.tracepoint.type_id,
            arguments: u32::try_from(identity.tracepoint.arguments).unwrap_or(u32::MAX),
            guarded: identity.guarded,
            cast: identity.cast,
            qdisc_drop: identity.qdisc_drop,
        }
    }
}

/// What the user wants of the program.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is wanted or not, whatever the others are")]
pub struct Options {
    /// How to attach.
    pub attach: Attach,
    /// Details.
    pub rate: Rate,
    /// Bytes of the packet in an event, rounded up to a multiple of 8, at most [`SNAPLEN_MAX`].
    pub snaplen: u32,
    /// Whether the packet's socket is wanted.
    pub sockets: bool,
    /// Whether the task on the CPU is wanted.
    pub tasks: bool,
    /// Whether call chains are wanted.
    pub stacks: bool,
    /// Whether the hardware's drops are wanted: a program more, and a ring buffer a CPU.
    pub hardware: bool,
    /// What to leave out.
    pub filter: Box<Filter>,
    /// Reasons that the filter names: [`netdrop_common::REASON_INCLUDED`] or `REASON_EXCLUDED` for each.
    pub reasons: Vec<(u32, u32)>,
    /// Pieces of code by which the filter judges drops whose reason says nothing, at most [`netdrop_common::MAX_PIECES`].
    pub sites: Vec<Piece>,
    /// What the filter's containers and processes are at the start; [`Probe::take_owners`] changes it.
    pub owners: HashMap<OwnerKey, u32>,
    /// Size of the ring buffers.
    pub ring: RingSize,
    /// aya-log's level in the program, 0 (off) to 5 (trace).
    pub log_level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attach: Attach::Auto,
            rate: Rate::PerSecond(1000),
            snaplen: 96,
            sockets: false,
            tasks: false,
            stacks: false,
            hardware: false,
            filter: Box::new(Filter::NONE),
            reasons: Vec::new(),
            sites: Vec::new(),
            owners: HashMap::new(),
            ring: RingSize { each: 1 << 20, together: 16 << 20 },
            log_level: 0,
        }
    }
}

impl Options {
    fn settings(&self, kernel: &Kernel, geometry: &Geometry, cpus: u32) -> Settings {
        const SECOND_NS: u32 = 1_000_000_000;
        let (rate, interval_ns) = match self.rate {
            Rate::All => (RATE_ALL, 0),
            Rate::PerSecond(0) => (0, 0),
            Rate::PerSecond(rate) => (rate.min(RATE_ALL - 1), SECOND_NS / rate),
        };
        Settings {
            arguments: kernel.arguments,
            levels: kernel.levels(),
            rate,
            interval_ns,
            // A second's worth at once, the one just taken included.
            burst_ns: SECOND_NS - interval_ns.min(SECOND_NS),
            snaplen: self.snaplen(),
            record_bytes: geometry.record_bytes,
            ring_mask: geometry.records - 1,
            ring_last: (geometry.records - 1) * geometry.record_bytes,
            filtered: self.filter.is_active().into(),
            sockets: self.sockets.into(),
            tasks: self.tasks.into(),
            stacks: self.stacks.into(),
            iphdr_type_id: kernel.cast.map_or(0, |cast| cast.iphdr),
            ipv6hdr_type_id: kernel.cast.map_or(0, |cast| cast.ipv6hdr),
            shinfo_type_id: kernel.cast.map_or(0, |cast| cast.shinfo),
            qdisc_drop: kernel.qdisc_drop.unwrap_or(0),
            trap_states: cpus * kernel.levels(),
        }
    }

    fn snaplen(&self) -> u32 {
        self.snaplen.next_multiple_of(8).min(SNAPLEN_MAX)
    }

    fn record_bytes(&self) -> u32 {
        const EVENT: u32 = 64;
        const EXTRA: u32 = 128;
        const { assert!(size_of::<Event>() == EVENT as usize && size_of::<Extra>() == EXTRA as usize) };
        let extra = if self.sockets || self.tasks { EXTRA } else { 0 };
        EVENT + self.snaplen() + extra
    }
}

/// The attached programs. They go away with this value, or with the process, however that ends.
pub struct Probe {
    /// What the kernel counted.
    pub counts: Counts,
    attach: Attach,
    links: Vec<OwnedFd>,
    program: OwnedFd,
    trap_program: Option<OwnedFd>,
    qdisc_program: Option<OwnedFd>,
    rings: Option<(MapData, Geometry)>,
    stacks: Option<Stacks>,
    traps: Option<Traps>,
    /// Why the hardware's drops can't be had, though they are wanted.
    without_hardware: Option<ProbeError>,
    owners: Option<OwnerMap>,
}

impl Probe {
    /// Loads the program for this kernel and attaches it.
    ///
    /// # Errors
    /// When the kernel refuses a map, the program or the attachment; the error says what to do about it.
    pub fn attach(kernel: &Kernel, options: &Options) -> Result<Self, ProbeError> {
        let plain = Kernel { cast: None, ..*kernel };
        let attach = |attach, kernel| Self::attach_as(attach, kernel, options);
        if options.attach == Attach::Raw {
            return attach(Attach::Raw, &plain);
        }
        // The error that is told is the first: the others are of ways that were tried because of it.
        let typed = attach(Attach::TpBtf, kernel).or_else(|error| {
            debug!("refused, trying without {:?}: {error}", kernel.cast);
            attach(Attach::TpBtf, &plain).map_err(|_| error)
        });
        if options.attach == Attach::TpBtf {
            return typed;
        }
        typed.or_else(|error| {
            debug!("tp_btf refused, trying the raw tracepoint: {error}");
            attach(Attach::Raw, &plain).map_err(|_| error)
        })
    }

    fn attach_as(attach: Attach, kernel: &Kernel, options: &Options) -> Result<Self, ProbeError> {
        memory_lock::lift();
        let loaded = object::load(attach, kernel, options)?;
        let program = Program::of(attach, kernel.tracepoint_type_id);
        // First, so that no packet is freed without the reason that was told; without it the reason is just coarser.
        let qdisc = loaded.qdisc.map(|loaded| {
            let program = loaded?;
            Ok((program::attach(Program::Qdisc, &program)?, program))
        });
        let qdisc = qdisc.transpose();
        let qdisc = qdisc
            .inspect_err(|error: &ProbeError| warn!("no finer reasons of queueing disciplines: {error}"));
        let (qdisc_link, qdisc_program) = qdisc.ok().flatten().unzip();
        let mut probe = Self {
            counts: Counts::new(loaded.cpus, loaded.counters)?,
            attach,
            links: [program::attach(program, &loaded.program)?].into_iter().chain(qdisc_link).collect(),
            program: loaded.program,
            trap_program: None,
            qdisc_program,
            rings: Some((loaded.rings, loaded.geometry)),
            stacks: options.stacks.then(|| Stacks::new(loaded.stacks)),
            traps: None,
            without_hardware: None,
            owners: Some(loaded.owners).filter(|_| options.filter.owners != 0),
        };
        if let Some(traps) = loaded.traps {
            let attached = traps.and_then(|(program, names)| probe.attach_to_traps(program, names));
            probe.without_hardware = attached.err();
        }
        Ok(probe)
    }

    fn attach_to_traps(&mut self, program: OwnedFd, names: MapData) -> Result<(), ProbeError> {
        self.links.push(program::attach(Program::Trap, &program)?);
        self.trap_program = Some(program);
        self.traps = Some(Traps::new(names));
        Ok(())
    }

    /// Whether the programs still hang on their tracepoints.
    pub fn is_attached(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(|link| sys::link_program(link).is_ok())
    }

    /// Hangs the programs on their tracepoints again; their counts go on where they stopped.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn attach_again(&mut self) -> Result<(), ProbeError> {
        for link in std::mem::take(&mut self.links) {
            // A number that is no link any more may be somebody else's by now.
            if sys::link_program(&link).is_err() {
                let _ = std::os::fd::IntoRawFd::into_raw_fd(link);
            }
        }
        if let Some(qdisc) = &self.qdisc_program {
            self.links.push(program::attach(Program::Qdisc, qdisc)?);
        }
        self.links.push(program::attach(Program::of(self.attach, 0), &self.program)?);
        if let Some(trap) = &self.trap_program {
            self.links.push(program::attach(Program::Trap, trap)?);
        }
        Ok(())
    }

    /// Whether the hardware's drops are seen.
    pub fn sees_hardware(&self) -> bool {
        self.trap_program.is_some()
    }

    /// Why the kernel refused to show the hardware's drops, if it did: all else works.
    pub fn without_hardware(&self) -> Option<&ProbeError> {
        self.without_hardware.as_ref()
    }

    /// The names of traps, where the hardware's drops are seen, and they were not taken before.
    pub fn take_traps(&mut self) -> Option<Traps> {
        self.traps.take()
    }

    /// How it is attached: never [`Attach::Auto`].
    pub fn attached_as(&self) -> Attach {
        self.attach
    }

    /// The ring buffers, to be read. Nobody is woken for them: who reads them looks from time to time.
    ///
    /// # Errors
    /// When they can't be mapped, or were taken before.
    pub fn take_rings(&mut self) -> io::Result<Rings> {
        let taken = || io::Error::other("the ring buffers have been taken");
        let (map, geometry) = self.rings.take().ok_or_else(taken)?;
        Rings::map(map, geometry)
    }

    /// The table of call chains, where they were asked for, and not taken before.
    pub fn take_stacks(&mut self) -> Option<Stacks> {
        self.stacks.take()
    }

    /// The map of what the filter's containers and processes are, where it names any, and not taken before.
    pub fn take_owners(&mut self) -> Option<OwnerMap> {
        self.owners.take()
    }

    /// The id of the program, by which other tools know it.
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn program_id(&self) -> Result<u32, ProbeError> {
        Ok(program::info(&self.program)?.id)
    }

    /// Passes on what the program logs, as long as the value lives and the event loop runs; `None` at level 0.
    ///
    /// # Errors
    /// When the program's log can't be read.
    pub fn log(&self, level: u8) -> Result<Option<Log>, ProbeError> {
        if level == 0 {
            return Ok(None);
        }
        log::follow(self.program_id()?).map(Some)
    }

    /// Drops that happened inside the program and that it didn't see: kept from it by the kernel (`recursion_misses`,
    /// 5.12 on) or, where the kernel has no guard, beyond the levels that it has states for.
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn recursion_misses(&self) -> Result<u64, ProbeError> {
        let of = |program: &OwnedFd| Ok(program::info(program)?.recursion_misses);
        let traps = self.trap_program.as_ref().map_or(Ok(0), of)?;
        Ok(of(&self.program)? + traps + self.counts.accounts().missed)
    }

    /// Takes the programs off their tracepoints and waits until no CPU runs them any more: counts are final then.
    pub fn detach(&mut self) {
        if !std::mem::take(&mut self.links).is_empty() {
            sys::wait_for_readers();
        }
    }
}
