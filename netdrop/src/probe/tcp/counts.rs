//! What the programs counted.

use std::mem::offset_of;

use aya::maps::MapData;
use netdrop_common::read_plain;
use netdrop_common::tcp::{
    TCP_DETAILS, TCP_KINDS, TRANSITION_BUCKETS, TcpAccounts, TcpCpu, TcpTotal, TcpTransition,
};

use crate::probe::per_cpu::PerCpu;
use crate::probe::{ProbeError, sys};

/// The total of one kind and detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpKindTotal {
    /// One of [`netdrop_common::tcp::kind`].
    pub kind: u8,
    /// See there.
    pub detail: u8,
    /// Events.
    pub events: u64,
    /// Bytes of payload, where the kind has any.
    pub bytes: u64,
    /// Segments, where the kind has any.
    pub segments: u64,
}

/// How often sockets went from one state into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransitionTotal {
    /// The state before.
    pub from: u8,
    /// The state after.
    pub to: u8,
    /// How often, and how long they had been in the first.
    pub total: TcpTransition,
}

/// Totals and accounts, each CPU's own.
#[derive(Debug)]
pub struct Cpus {
    cpus: PerCpu<TcpCpu>,
}

impl Cpus {
    pub(super) fn map(map: MapData, cpus: u32) -> Result<Self, ProbeError> {
        let cpus = PerCpu::map(map, cpus as usize)
            .map_err(|error| ProbeError::Read { what: "the totals of TCP's events", error })?;
        Ok(Self { cpus })
    }

    /// The sum of all CPUs' accounts.
    pub fn accounts(&self) -> TcpAccounts {
        let accounts = offset_of!(TcpCpu, accounts);
        let read = |start| self.cpus.read::<TcpAccounts, 8>(start + accounts);
        self.cpus.starts().map(read).fold(TcpAccounts::default(), sum)
    }

    /// The sums of all CPUs' totals, without those that are zero.
    pub fn totals(&self) -> Vec<TcpKindTotal> {
        let mut totals = Vec::new();
        for kind in 0..TCP_KINDS {
            for detail in 0..TCP_DETAILS {
                let at = offset_of!(TcpCpu, totals) + (kind * TCP_DETAILS + detail) * size_of::<TcpTotal>();
                let mut sum = TcpKindTotal {
                    kind: u8::try_from(kind).unwrap_or(u8::MAX),
                    detail: u8::try_from(detail).unwrap_or(u8::MAX),
                    events: 0,
                    bytes: 0,
                    segments: 0,
                };
                for start in self.cpus.starts() {
                    let one = self.cpus.read::<TcpTotal, 5>(start + at);
                    sum.events += one.events;
                    sum.bytes += one.bytes;
                    sum.segments += one.segments;
                }
                if sum.events != 0 {
                    totals.push(sum);
                }
            }
        }
        totals
    }
}

fn sum(a: TcpAccounts, b: TcpAccounts) -> TcpAccounts {
    TcpAccounts {
        seen: a.seen + b.seen,
        detailed: a.detailed + b.detailed,
        sampled_out: a.sampled_out + b.sampled_out,
        ring_full: a.ring_full + b.ring_full,
        filtered: a.filtered + b.filtered,
        untracked: a.untracked + b.untracked,
        rtt_seen: a.rtt_seen + b.rtt_seen,
        rtt_others: a.rtt_others + b.rtt_others,
    }
}

/// The per-CPU table of changes of state.
#[derive(Debug)]
pub struct Transitions {
    map: MapData,
    /// CPUs that may ever come up: a look-up gives a value for each.
    cpus: u32,
}

impl Transitions {
    pub(super) fn new(map: MapData, cpus: u32) -> Self {
        Self { map, cpus }
    }

    /// The sums of all CPUs', without those that never happened.
    pub fn read(&self) -> Result<Vec<TransitionTotal>, ProbeError> {
        const STATES: u8 = 16;
        let mut buffer = vec![0; self.cpus as usize * size_of::<TcpTransition>()];
        let mut all = Vec::new();
        for (from, to) in (0..STATES).flat_map(|from| (0..STATES).map(move |to| (from, to))) {
            let index = u32::from(from) << 4 | u32::from(to);
            sys::map_lookup(self.map.fd(), &index.to_ne_bytes(), &mut buffer)
                .map_err(|error| ProbeError::Read { what: "the changes of state", error })?;
            let values = buffer.chunks_exact(size_of::<TcpTransition>()).filter_map(read_plain);
            let total = values.fold(NONE, |sum, one| sum_of_transitions(&sum, &one));
            if total.count != 0 {
                all.push(TransitionTotal { from, to, total });
            }
        }
        Ok(all)
    }
}

const NONE: TcpTransition = TcpTransition { count: 0, timed: 0, spent_ns: 0, spent: [0; TRANSITION_BUCKETS] };

fn sum_of_transitions(a: &TcpTransition, b: &TcpTransition) -> TcpTransition {
    TcpTransition {
        count: a.count + b.count,
        timed: a.timed + b.timed,
        spent_ns: a.spent_ns + b.spent_ns,
        spent: std::array::from_fn(|bucket| a.spent[bucket] + b.spent[bucket]),
    }
}
