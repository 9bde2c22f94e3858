//! What was counted, exactly.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::{TRANSITION_BUCKETS, TcpTotal};
use netdrop_common::tcp_state;

use super::super::{Device, Endpoint, Netns, Owner};
use super::{Closes, Histogram, TcpQueues, quantile_bucket};

/// What was counted in an interval (in an `end`: in all), and since the start.
#[derive(Debug, Clone, Default)]
pub struct TcpSummary {
    /// Where each event of the interval went.
    pub accounts: TcpAccounts,
    /// Since the start.
    pub total: TcpAccounts,
    /// By kind and detail.
    pub counts: Vec<TcpCount>,
    /// Transitions of states.
    pub transitions: Vec<TransitionRow>,
    /// Round-trip times.
    pub rtt: Vec<RttRow>,
    /// What the kernel itself counts in netdrop's network namespace.
    pub host: HostCounts,
    /// The same since the start.
    pub host_total: HostCounts,
    /// Connections that existed at the start, by `/proc/net/tcp` and `tcp6`; absent where that can't be read.
    pub existed: Option<u64>,
    /// How connections ended in the interval, as details tell it.
    pub closes: Closes,
    /// The same since the start.
    pub closes_total: Closes,
    /// The names of the kernel's `enum sk_rst_reason` by number, without `SK_RST_REASON_`: what the details of resets sent are called;
    /// an empty one where the kernel has none, and none before 6.10.
    pub reset_reasons: Arc<[Arc<str>]>,
    /// Queues of listeners and what ports are in use; absent where they aren't asked for.
    pub queues: Option<Arc<TcpQueues>>,
}

/// `detailed + sampled_out + ring_full + filtered = seen`, always; see netdrop-common's `TcpAccounts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "they are netdrop-common's")]
pub struct TcpAccounts {
    pub seen: u64,
    pub detailed: u64,
    pub sampled_out: u64,
    pub ring_full: u64,
    pub filtered: u64,
    pub untracked: u64,
    pub rtt_seen: u64,
    pub rtt_others: u64,
    pub recursion_misses: u64,
}

/// One kind and detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpCount {
    /// One of netdrop-common's `kind`.
    pub kind: u8,
    /// See there.
    pub detail: u8,
    /// In the interval; of its members only events, bytes and segments mean anything.
    pub counts: TcpTotal,
    /// Since the start.
    pub total: TcpTotal,
}

/// One transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransitionRow {
    /// From.
    pub from: u8,
    /// To.
    pub to: u8,
    /// In the interval: how often.
    pub count: u64,
    /// Since the start.
    pub total: u64,
    /// How long sockets had been in the first state, as far as that is known: since the start; bucket `n` has times of
    /// `[2^(n-1), 2^n)` µs.
    pub spent: [u64; TRANSITION_BUCKETS],
    /// The sum of these times.
    pub spent_sum: Duration,
}

/// What a histogram of round-trip times is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RttWhat {
    /// Smoothed, as it was at each acknowledgement of new data.
    Smoothed,
    /// What each acknowledgement told.
    Sample,
}

/// Round-trip times of what is alike in what was asked for. Members that rows don't tell apart are absent.
#[derive(Debug, Clone)]
pub struct RttRow {
    /// Of what.
    pub what: RttWhat,
    /// Whether it is the row of all others, that found no place.
    pub others: bool,
    /// Local address and port.
    pub local: Option<Endpoint>,
    /// Local port alone.
    pub local_port: Option<u16>,
    /// Remote address and port.
    pub remote: Option<Endpoint>,
    /// Remote port alone.
    pub remote_port: Option<u16>,
    /// The route's gateway.
    pub gateway: Option<IpAddr>,
    /// The route's device.
    pub device: Option<Arc<Device>>,
    /// The network namespace.
    pub netns: Option<Arc<Netns>>,
    /// Whose the sockets are.
    pub owner: Option<Arc<Owner>>,
    /// In the interval.
    pub interval: Histogram,
    /// Since the start.
    pub total: Histogram,
}

/// What the kernel counts itself: `/proc/net/snmp` and `/proc/net/netstat` (RFC 4022), of one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostCounts {
    /// `TcpOutSegs`: segments sent, without those sent again.
    pub segments_out: u64,
    /// `TcpRetransSegs`.
    pub segments_retransmitted: u64,
    /// `TcpInSegs`.
    pub segments_in: u64,
    /// `TcpOutRsts`: resets sent; kernels before 6.10 tell the tracepoint of fewer.
    pub resets_out: u64,
    /// `TcpEstabResets`: established connections that were reset.
    pub established_resets: u64,
    /// `TcpActiveOpens`, `TcpPassiveOpens`, `TcpAttemptFails`.
    pub active_opens: u64,
    /// See `active_opens`.
    pub passive_opens: u64,
    /// See `active_opens`.
    pub attempt_fails: u64,
}

impl HostCounts {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            segments_out: self.segments_out.saturating_sub(earlier.segments_out),
            segments_retransmitted: self
                .segments_retransmitted
                .saturating_sub(earlier.segments_retransmitted),
            segments_in: self.segments_in.saturating_sub(earlier.segments_in),
            resets_out: self.resets_out.saturating_sub(earlier.resets_out),
            established_resets: self.established_resets.saturating_sub(earlier.established_resets),
            active_opens: self.active_opens.saturating_sub(earlier.active_opens),
            passive_opens: self.passive_opens.saturating_sub(earlier.passive_opens),
            attempt_fails: self.attempt_fails.saturating_sub(earlier.attempt_fails),
        }
    }
}

impl TcpSummary {
    /// Events of this kind in the interval: `(events, bytes, segments)`.
    pub fn of_kind(&self, kind: u8) -> impl Iterator<Item = &TcpCount> {
        self.counts.iter().filter(move |count| count.kind == kind)
    }
}

/// A state as RFC 9293 calls it; `None` for a number that is none.
pub const fn state_name(state: u8) -> Option<&'static str> {
    Some(match state {
        tcp_state::ESTABLISHED => "ESTABLISHED",
        tcp_state::SYN_SENT => "SYN_SENT",
        tcp_state::SYN_RECV => "SYN_RECV",
        tcp_state::FIN_WAIT1 => "FIN_WAIT1",
        tcp_state::FIN_WAIT2 => "FIN_WAIT2",
        tcp_state::TIME_WAIT => "TIME_WAIT",
        tcp_state::CLOSE => "CLOSE",
        tcp_state::CLOSE_WAIT => "CLOSE_WAIT",
        tcp_state::LAST_ACK => "LAST_ACK",
        tcp_state::LISTEN => "LISTEN",
        tcp_state::CLOSING => "CLOSING",
        tcp_state::NEW_SYN_RECV => "NEW_SYN_RECV",
        _ => return None,
    })
}

impl TransitionRow {
    /// Transitions of which the time spent is known.
    pub fn timed(&self) -> u64 {
        self.spent.iter().sum()
    }

    /// The mean time spent, exact; absent when none is known.
    pub fn mean_spent(&self) -> Option<Duration> {
        let timed = u128::from(self.timed());
        (timed > 0).then(|| {
            Duration::from_nanos(u64::try_from(self.spent_sum.as_nanos() / timed).unwrap_or(u64::MAX))
        })
    }

    /// The least time that the quantile `q` (0 to 1) of the times spent is below, at most twice it; absent when none is known.
    pub fn spent_below(&self, q: f64) -> Option<Duration> {
        quantile_bucket(&self.spent, q).map(|bucket| Duration::from_micros(1 << bucket))
    }
}
