//! What is counted of TCP's events, exactly, whatever becomes of their details.

/// Kinds of events.
pub const TCP_KINDS: usize = 6;
/// Details of a kind.
pub const TCP_DETAILS: usize = 32;
/// Buckets of [`TcpTransition::spent`]: bucket `n` counts times of `[2^(n-1), 2^n)` µs, the first less than 1 µs, the last all beyond.
pub const TRANSITION_BUCKETS: usize = 40;

/// One kind and detail on one CPU.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpTotal {
    /// Events.
    pub events: u64,
    /// Bytes of payload, where the kind has any.
    pub bytes: u64,
    /// Segments, where the kind has any.
    pub segments: u64,
    /// Events since the last detailed one.
    pub skipped: u64,
    /// When the next detail is due, on `CLOCK_MONOTONIC` in ns, if there were no burst.
    pub due_ns: u64,
}

/// Where each event went. `detailed + sampled_out + ring_full + filtered = seen`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpAccounts {
    /// Every event of the kinds that are wanted in detail.
    pub seen: u64,
    /// Submitted with details.
    pub detailed: u64,
    /// Counted without details.
    pub sampled_out: u64,
    /// A detail was due, and the ring had no room.
    pub ring_full: u64,
    /// Left out by a filter: in no total.
    pub filtered: u64,
    /// Sockets that the table of connections had no room for: nothing of their past is known.
    pub untracked: u64,
    /// Round-trip times that were measured.
    pub rtt_seen: u64,
    /// Of those: for which the table of histograms had no room for their key; they are in the one of all others.
    pub rtt_others: u64,
}

/// What one CPU writes. Totals count also kinds that aren't wanted in detail, where a program sees them. Additions are atomic: a program may be interrupted by another.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TcpCpu {
    /// Its accounts.
    pub accounts: TcpAccounts,
    /// By kind and detail.
    pub totals: [[TcpTotal; TCP_DETAILS]; TCP_KINDS],
}

/// How often sockets went from one state into another, and how long they had been in the first.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpTransition {
    /// Transitions.
    pub count: u64,
    /// Of those: the ones with a known time.
    pub timed: u64,
    /// Sum of these times, ns.
    pub spent_ns: u64,
    /// Their histogram.
    pub spent: [u64; TRANSITION_BUCKETS],
}

/// Number of transitions: from and to each of 16 states, `from * 16 + to`.
pub const TRANSITIONS: usize = 256;
