//! The programs on TCP's tracepoints, from their object to their counts, events and histograms.

mod counts;
mod events;
mod object;
mod options;
mod rtt;

use std::os::fd::OwnedFd;

use aya::maps::MapData;
pub use counts::TcpKindTotal;
pub use counts::TransitionTotal;
use counts::{Cpus, Transitions};
pub use events::TcpEvents;
use netdrop_common::tcp::TcpAccounts;
use object::Loaded;
pub use options::{TcpKinds, TcpOptions, TcpRtt};
use rtt::Rtt;
pub use rtt::RttTotal;
use tracing::debug;

use super::program::{self, Program};
use super::{Attach, OwnerMap, ProbeError, memory_lock, sys};
use crate::kernel::tcp::{TcpKernel, TcpTracepoint};

/// The attached programs. They go away with this value, or with the process, however that ends.
pub struct TcpProbe {
    attach: Attach,
    links: Vec<OwnedFd>,
    programs: Vec<(TcpTracepoint, OwnedFd)>,
    cpus: Cpus,
    transitions: Transitions,
    rtt: Rtt,
    events: Option<MapData>,
    owners: Option<OwnerMap>,
}

impl TcpProbe {
    /// Loads the programs that are asked for, and attaches them.
    ///
    /// # Errors
    /// When the kernel refuses a map, a program or an attachment; the error says what to do about it.
    pub fn attach(kernel: &TcpKernel, options: &TcpOptions) -> Result<Self, ProbeError> {
        let plain = TcpKernel { cast: None, ..kernel.clone() };
        if options.attach == Attach::Raw {
            return Self::attach_as(Attach::Raw, &plain, options);
        }
        // The error that is told is the first: the others are of ways that were tried because of it.
        let typed = Self::attach_as(Attach::TpBtf, kernel, options).or_else(|error| {
            debug!("refused, trying without {:?}: {error}", kernel.cast);
            Self::attach_as(Attach::TpBtf, &plain, options).map_err(|_| error)
        });
        if options.attach == Attach::TpBtf {
            return typed;
        }
        typed.or_else(|error| {
            debug!("tp_btf refused, trying the raw tracepoints: {error}");
            Self::attach_as(Attach::Raw, &plain, options).map_err(|_| error)
        })
    }

    fn attach_as(attach: Attach, kernel: &TcpKernel, options: &TcpOptions) -> Result<Self, ProbeError> {
        memory_lock::lift();
        let Loaded { programs, cpus, transitions, rtt, events, owners } =
            object::load(attach, kernel, options)?;
        let mut probe = Self {
            attach,
            links: Vec::new(),
            programs,
            cpus,
            transitions,
            rtt,
            events: Some(events),
            owners: Some(owners).filter(|_| options.filter.owners != 0),
        };
        probe.attach_again()?;
        Ok(probe)
    }

    /// Hangs the programs on their tracepoints again; their counts go on where they stopped.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn attach_again(&mut self) -> Result<(), ProbeError> {
        self.links.clear();
        let typed = (self.attach == Attach::TpBtf).then_some(0);
        for (tracepoint, program) in &self.programs {
            self.links.push(program::attach(Program::Tcp(*tracepoint, typed), program)?);
        }
        Ok(())
    }

    /// Whether the programs still hang on their tracepoints.
    pub fn is_attached(&self) -> bool {
        !self.links.is_empty() && self.links.iter().all(|link| sys::link_program(link).is_ok())
    }

    /// How they are attached: never [`Attach::Auto`].
    pub fn attached_as(&self) -> Attach {
        self.attach
    }

    /// The tracepoints that have a program.
    pub fn tracepoints(&self) -> impl Iterator<Item = TcpTracepoint> {
        self.programs.iter().map(|(tracepoint, _)| *tracepoint)
    }

    /// The ring of events, to be read. Nobody is woken for it: who reads it looks from time to time.
    ///
    /// # Errors
    /// When it can't be mapped, or was taken before.
    pub fn take_events(&mut self) -> Result<TcpEvents, ProbeError> {
        let taken = || ProbeError::Read {
            what: "the ring of TCP's events",
            error: std::io::Error::other("it has been taken"),
        };
        TcpEvents::map(self.events.take().ok_or_else(taken)?)
    }

    /// The map of what the filter's containers and processes are, where it names any, and not taken before.
    pub fn take_owners(&mut self) -> Option<OwnerMap> {
        self.owners.take()
    }

    /// Exact totals by kind and detail, of all CPUs together; those that are zero are left out.
    pub fn totals(&self) -> Vec<TcpKindTotal> {
        self.cpus.totals()
    }

    /// Where each event went.
    pub fn accounts(&self) -> TcpAccounts {
        self.cpus.accounts()
    }

    /// How often sockets went from one state into another, and how long they had been in the first.
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn transitions(&self) -> Result<Vec<TransitionTotal>, ProbeError> {
        self.transitions.read()
    }

    /// Histograms of round-trip times, of all CPUs together.
    ///
    /// # Errors
    /// When the table can't be read to its end.
    pub fn rtt(&self) -> Result<Vec<RttTotal>, ProbeError> {
        self.rtt.read()
    }

    /// Takes histograms out of the table, which has room for others then; gives what they had counted. A time that is being counted at
    /// this very moment is lost: take only what has long been quiet.
    ///
    /// # Errors
    /// When the table can't be read to its end.
    pub fn forget_rtt(
        &mut self,
        gone: impl Fn(&netdrop_common::tcp::RttKey) -> bool,
    ) -> Result<Vec<RttTotal>, ProbeError> {
        self.rtt.forget(gone)
    }

    /// Events that came while the same program ran on the same CPU, and that the kernel kept from it (`recursion_misses`, 5.12 on).
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn recursion_misses(&self) -> Result<u64, ProbeError> {
        self.programs.iter().map(|(_, program)| Ok(program::info(program)?.recursion_misses)).sum()
    }

    /// The ids of the programs, by which other tools know them.
    ///
    /// # Errors
    /// When the kernel doesn't answer.
    pub fn program_ids(&self) -> Result<Vec<(TcpTracepoint, u32)>, ProbeError> {
        self.programs.iter().map(|(on, program)| Ok((*on, program::info(program)?.id))).collect()
    }

    /// Takes the programs off their tracepoints and waits until no CPU runs them any more: counts are final then.
    pub fn detach(&mut self) {
        if !std::mem::take(&mut self.links).is_empty() {
            sys::wait_for_readers();
        }
    }
}
