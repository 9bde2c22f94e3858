//! The eBPF program, from its object to its counts and events. The only folder that names aya.

mod counts;
mod error;
mod inspect;
mod log;
mod memory_lock;
mod object;
mod program;
mod ring;
mod sys;

use std::io;
use std::os::fd::OwnedFd;

use aya::maps::MapData;
pub use counts::Counts;
pub use error::ProbeError;
pub use inspect::{program_name, tcx_programs};
pub use log::Log;
use netdrop_common::{Filter, Layout, RATE_ALL, SNAPLEN_MAX, Settings};
pub use ring::Ring;
use tracing::debug;

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
}

impl From<&Identity> for Kernel {
    fn from(identity: &Identity) -> Self {
        Self {
            layout: identity.layout,
            tracepoint_type_id: identity.tracepoint.type_id,
            arguments: u32::try_from(identity.tracepoint.arguments).unwrap_or(u32::MAX),
            guarded: identity.guarded,
            cast: identity.cast,
        }
    }
}

/// What the user wants of the program.
#[derive(Debug, Clone)]
pub struct Options {
    /// How to attach.
    pub attach: Attach,
    /// Details.
    pub rate: Rate,
    /// Bytes of the packet in an event, rounded up to a multiple of 8, at most [`SNAPLEN_MAX`].
    pub snaplen: u32,
    /// What to leave out.
    pub filter: Box<Filter>,
    /// Reasons that the filter names: [`netdrop_common::REASON_INCLUDED`] or `REASON_EXCLUDED` for each.
    pub reasons: Vec<(u32, u32)>,
    /// Size of the ring buffer in bytes, a power of two and of pages.
    pub ring_bytes: u32,
    /// aya-log's level in the program, 0 (off) to 5 (trace).
    pub log_level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attach: Attach::Auto,
            rate: Rate::PerSecond(1000),
            snaplen: 96,
            filter: Box::new(Filter::NONE),
            reasons: Vec::new(),
            ring_bytes: 1 << 20,
            log_level: 0,
        }
    }
}

impl Options {
    fn settings(&self, kernel: &Kernel) -> Settings {
        const SECOND_NS: u64 = 1_000_000_000;
        let (rate, interval_ns) = match self.rate {
            Rate::All => (RATE_ALL, 0),
            Rate::PerSecond(0) => (0, 0),
            Rate::PerSecond(rate) => (rate, SECOND_NS / u64::from(rate)),
        };
        Settings {
            arguments: kernel.arguments,
            guarded: kernel.guarded.into(),
            iphdr_type_id: kernel.cast.map_or(0, |cast| cast.iphdr),
            ipv6hdr_type_id: kernel.cast.map_or(0, |cast| cast.ipv6hdr),
            rate,
            snaplen: self.snaplen.next_multiple_of(8).min(SNAPLEN_MAX),
            interval_ns,
            // A second's worth at once, the one just taken included.
            burst_ns: SECOND_NS - interval_ns.min(SECOND_NS),
        }
    }
}

/// The attached program. It goes away with this value, or with the process, however that ends.
pub struct Probe {
    /// What the kernel counted.
    pub counts: Counts,
    attach: Attach,
    link: Option<OwnedFd>,
    program: OwnedFd,
    ring: Option<MapData>,
    ring_bytes: u32,
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
        let link = program::attach(attach, &loaded.program)?;
        Ok(Self {
            counts: Counts::new(loaded.cpus, loaded.counters)?,
            attach,
            link: Some(link),
            program: loaded.program,
            ring: Some(loaded.ring),
            ring_bytes: options.ring_bytes,
        })
    }

    /// How it is attached: never [`Attach::Auto`].
    pub fn attached_as(&self) -> Attach {
        self.attach
    }

    /// The ring buffer, to be read. It isn't woken for: who reads it looks from time to time.
    ///
    /// # Errors
    /// When it can't be mapped, or was taken before.
    pub fn take_ring(&mut self) -> io::Result<Ring> {
        let ring = self.ring.take().ok_or_else(|| io::Error::other("the ring buffer has been taken"))?;
        Ring::map(ring, self.ring_bytes)
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

    /// Drops that happened inside the program and that the kernel kept from it (`recursion_misses`, 5.12 on).
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn recursion_misses(&self) -> Result<u64, ProbeError> {
        Ok(program::info(&self.program)?.recursion_misses)
    }

    /// Takes the program off the tracepoint and waits until no CPU runs it any more: counts are final then.
    pub fn detach(&mut self) {
        if self.link.take().is_some() {
            sys::wait_for_readers();
        }
    }
}
