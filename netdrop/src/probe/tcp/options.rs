//! What the user wants of the programs.

use std::collections::HashMap;

use netdrop_common::tcp::{TcpSettings, by};
use netdrop_common::{Filter, OWNER_TASK, OwnerKey, RATE_ALL};

use super::super::{Attach, Rate};
use crate::kernel::tcp::{TcpKernel, TcpTracepoint};

/// Which events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is wanted or not, whatever the others are")]
pub struct TcpKinds {
    /// Retransmissions, SYN-ACKs among them.
    pub retransmits: bool,
    /// Resets sent and received.
    pub resets: bool,
    /// Changes of state other than the end.
    pub states: bool,
    /// Ends of connections.
    pub closes: bool,
    /// Changes of state counted, with the time spent, whether or not they are wanted in detail.
    pub transitions: bool,
}

/// Which round-trip times are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpRtt {
    /// Smoothed ones.
    pub smoothed: bool,
    /// Those of each acknowledgement.
    pub samples: bool,
    /// What histograms are kept by: bits of [`netdrop_common::tcp::by`].
    pub by: u32,
    /// How many there may be, of all CPUs together; each takes 1 KiB of the kernel's memory.
    pub histograms: u32,
}

/// What the user wants of the programs.
#[derive(Debug, Clone)]
pub struct TcpOptions {
    /// How to attach.
    pub attach: Attach,
    /// Details a kind, detail, CPU and second.
    pub rate: Rate,
    /// Which events.
    pub kinds: TcpKinds,
    /// Which round-trip times.
    pub rtt: Option<TcpRtt>,
    /// What to leave out.
    pub filter: Box<Filter>,
    /// What the filter's containers and processes are at the start; `TcpProbe::take_owners` changes it.
    pub owners: HashMap<OwnerKey, u32>,
    /// Bytes of the ring of events; made a power of two, and a page at least.
    pub ring_bytes: u32,
    /// How many connections can be followed at once, where ends or states are wanted; each takes some 150 bytes of the kernel's memory.
    pub connections: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            attach: Attach::Auto,
            rate: Rate::PerSecond(1000),
            kinds: TcpKinds::default(),
            rtt: None,
            filter: Box::new(Filter::NONE),
            owners: HashMap::new(),
            ring_bytes: 1 << 20,
            connections: 1 << 16,
        }
    }
}

impl TcpOptions {
    /// Whether connections are followed while they live. Whose a round-trip time is can't be told without, once the socket is closed,
    /// nor whose a connection is that a filter by processes hasn't found yet.
    pub(super) fn tracks(&self) -> bool {
        let by_owner = self.rtt.is_some_and(|rtt| rtt.by & by::OWNER != 0);
        self.kinds.states
            || self.kinds.closes
            || self.kinds.transitions
            || by_owner
            || self.filter.owners & OWNER_TASK != 0
    }

    fn samples(&self) -> bool {
        self.rtt.is_some_and(|rtt| rtt.samples)
    }

    /// The tracepoints that it takes. An end tells whether a reset was sent or received, and brings the last round-trip time.
    pub(super) fn tracepoints(&self) -> Vec<TcpTracepoint> {
        let kinds = self.kinds;
        TcpTracepoint::ALL
            .into_iter()
            .filter(|tracepoint| match tracepoint {
                TcpTracepoint::Retransmit | TcpTracepoint::RetransmitSynAck => kinds.retransmits,
                TcpTracepoint::ResetSent | TcpTracepoint::ResetReceived => kinds.resets || kinds.closes,
                TcpTracepoint::State => self.tracks() || self.samples(),
                TcpTracepoint::Destroy => self.tracks(),
                TcpTracepoint::Probe => self.rtt.is_some(),
            })
            .collect()
    }

    pub(super) fn settings(&self, kernel: &TcpKernel) -> TcpSettings {
        const SECOND_NS: u32 = 1_000_000_000;
        let (rate, interval_ns) = match self.rate {
            Rate::All => (RATE_ALL, 0),
            Rate::PerSecond(0) => (0, 0),
            Rate::PerSecond(rate) => (rate.min(RATE_ALL - 1), SECOND_NS / rate),
        };
        TcpSettings {
            reset_arguments: kernel.arguments(TcpTracepoint::ResetSent),
            retransmit_arguments: kernel.arguments(TcpTracepoint::Retransmit),
            rate,
            interval_ns,
            // A second's worth at once, the one just taken included.
            burst_ns: SECOND_NS - interval_ns.min(SECOND_NS),
            filtered: self.filter.is_active().into(),
            retransmits: self.kinds.retransmits.into(),
            resets: self.kinds.resets.into(),
            tracked: self.tracks().into(),
            states: self.kinds.states.into(),
            closes: self.kinds.closes.into(),
            rtt_smoothed: self.rtt.is_some_and(|rtt| rtt.smoothed).into(),
            rtt_samples: self.samples().into(),
            rtt_by: self.rtt.map_or(0, |rtt| rtt.by),
            tcp_sock_type_id: kernel.cast.map_or(0, |cast| cast.tcp_sock),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::TcpTracepoint::{
        Destroy, Probe, ResetReceived, ResetSent, Retransmit, RetransmitSynAck, State,
    };
    use super::*;

    const NONE: TcpKinds =
        TcpKinds { retransmits: false, resets: false, states: false, closes: false, transitions: false };

    const fn rtt(smoothed: bool, samples: bool) -> TcpRtt {
        TcpRtt { smoothed, samples, by: 0, histograms: 1 }
    }

    #[rstest]
    #[case::nothing(NONE, None, &[])]
    #[case::retransmits(TcpKinds { retransmits: true, ..NONE }, None, &[Retransmit, RetransmitSynAck])]
    #[case::resets(TcpKinds { resets: true, ..NONE }, None, &[ResetSent, ResetReceived])]
    #[case::states(TcpKinds { states: true, ..NONE }, None, &[State, Destroy])]
    #[case::transitions(TcpKinds { transitions: true, ..NONE }, None, &[State, Destroy])]
    #[case::closes(TcpKinds { closes: true, ..NONE }, None, &[ResetSent, ResetReceived, State, Destroy])]
    #[case::smoothed(NONE, Some(rtt(true, false)), &[Probe])]
    #[case::samples(NONE, Some(rtt(false, true)), &[State, Probe])]
    #[case::by_owner(NONE, Some(TcpRtt { by: by::OWNER, ..rtt(true, false) }), &[State, Destroy, Probe])]
    fn only_what_is_asked_for_is_attached(
        #[case] kinds: TcpKinds,
        #[case] rtt: Option<TcpRtt>,
        #[case] expected: &[TcpTracepoint],
    ) {
        let options = TcpOptions { kinds, rtt, ..TcpOptions::default() };
        assert_eq!(options.tracepoints(), expected);
    }
}
