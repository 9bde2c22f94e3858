//! `netdrop_tcp_*`: TCP's own events, where `capture.tcp` asks for them.

use std::collections::BTreeMap;

use netdrop_common::tcp::rtt_bucket_start;

use super::encoder::{Encoder, Kind};
use crate::model::tcp::{Counted, Histogram, Retransmit, RttWhat, TcpCount, TcpSummary};

/// Upper bounds of the round-trip times' buckets: these powers of two, in µs: 16 µs to 67 s.
const OCTAVES: std::ops::RangeInclusive<u32> = 4..=26;

/// What has been counted since the daemon's start, whatever programs counted it.
#[derive(Debug, Default)]
pub struct Tcp {
    sum: TcpSummary,
    rtt: Histogram,
}

impl Tcp {
    /// Takes an interval.
    pub fn add(&mut self, interval: &TcpSummary) {
        for row in interval.rtt.iter().filter(|row| row.what == RttWhat::Sample) {
            self.rtt.add(&row.interval);
        }
        // Rows may come and go; their sum is what is told.
        self.sum.add(&TcpSummary {
            rtt: Vec::new(),
            transitions: Vec::new(),
            queues: None,
            ..interval.clone()
        });
    }

    /// What was lost on the way, by stage.
    pub fn lost(&self) -> [(&'static str, u64); 3] {
        let accounts = &self.sum.accounts;
        [
            ("tcp_ring_full", accounts.ring_full),
            ("tcp_recursion_misses", accounts.recursion_misses),
            ("tcp_untracked", accounts.untracked),
        ]
    }

    /// Writes all of it.
    pub fn encode(&self, to: &mut Encoder) {
        self.retransmits(to);
        self.resets(to);
        let help = "Connections that ended, by how: what details tell of them; a detail stands for those sampled out before it.";
        to.metric("netdrop_tcp_connections_closed", Kind::Counter, "", help);
        for (kind, count) in self.sum.closes.iter() {
            to.sample([("kind", kind.as_str())], count);
        }
        self.round_trips(to);
        self.host(to);
        self.accounts(to);
    }

    fn retransmits(&self, to: &mut Encoder) {
        let help = "Segments that TCP sent again, by what made it do so.";
        to.metric("netdrop_tcp_retransmits", Kind::Counter, "", help);
        // All of them, so that a first one is an increase.
        for by in Retransmit::ALL {
            let is_such = |count: &TcpCount| count.retransmit() == Some(by) && !count.has_failed();
            to.sample([("type", by.as_str())], self.sum.events(is_such));
        }
        let failed = self.sum.events(TcpCount::has_failed);
        let help = "Segments that TCP would have sent again and could not send (told from Linux 6.16 on).";
        to.single("netdrop_tcp_retransmits_failed", Kind::Counter, "", help, failed);
    }

    fn resets(&self, to: &mut Encoder) {
        let help = "Resets; the reason is the kernel's, of those sent (Linux 6.10 on).";
        to.metric("netdrop_tcp_resets", Kind::Counter, "", help);
        for (name, count) in self.by_name(|count| count.counted() == Counted::ResetSent) {
            to.sample([("direction", "sent"), ("reason", name)], count);
        }
        let received = self.sum.events(|count| count.counted() == Counted::ResetReceived);
        to.sample([("direction", "received"), ("reason", "")], received);
    }

    fn round_trips(&self, to: &mut Encoder) {
        let below = |octave: u32| -> u64 {
            let within = |place: &usize| rtt_bucket_start(place + 1) <= 1 << octave;
            (0..self.rtt.buckets.len()).take_while(within).map(|place| self.rtt.buckets[place]).sum()
        };
        let buckets = OCTAVES.map(|octave| (f64::from(1_u32 << octave) / 1e6, below(octave)));
        let help = "Round-trip times as acknowledgements of new data told them.";
        #[expect(clippy::cast_precision_loss, reason = "a sum of microseconds")]
        let sum = self.rtt.sum_us as f64 / 1e6;
        to.histogram("netdrop_tcp_rtt_seconds", "seconds", help, buckets, sum, self.rtt.count());
    }

    /// Of netdrop's network namespace alone, filter or not.
    fn host(&self, to: &mut Encoder) {
        let host = &self.sum.host;
        let counts = [
            (
                "netdrop_tcp_segments_sent",
                "Segments sent, without those sent again (TcpOutSegs).",
                host.segments_out,
            ),
            (
                "netdrop_tcp_segments_retransmitted",
                "Segments sent again (TcpRetransSegs).",
                host.segments_retransmitted,
            ),
            ("netdrop_tcp_segments_received", "Segments received (TcpInSegs).", host.segments_in),
        ];
        for (name, what, count) in counts {
            let help = format!("{what} By the kernel's own count of the daemon's network namespace.");
            to.single(name, Kind::Counter, "", &help, count);
        }
    }

    fn accounts(&self, to: &mut Encoder) {
        let accounts = &self.sum.accounts;
        let help = "Events of TCP that the programs saw, before any filter.";
        to.single("netdrop_tcp_events_seen", Kind::Counter, "", help, accounts.seen);
        let help = "Events of TCP that the filter left out; they are in no series.";
        to.single("netdrop_tcp_events_filtered", Kind::Counter, "", help, accounts.filtered);
        let help = "Events of TCP whose details were sent to user space.";
        to.single("netdrop_tcp_events_detailed", Kind::Counter, "", help, accounts.detailed);
        let help = "Events of TCP that were counted without details.";
        to.single("netdrop_tcp_events_sampled_out", Kind::Counter, "", help, accounts.sampled_out);
    }

    /// Events by their detail's name; an empty one where there is none.
    fn by_name(&self, of: impl Fn(&TcpCount) -> bool) -> BTreeMap<&str, u64> {
        let mut sums = BTreeMap::new();
        for count in self.sum.counts.iter().filter(|count| of(count)) {
            *sums.entry(self.sum.detail_name(count).unwrap_or_default()).or_default() += count.counts.events;
        }
        sums
    }
}
