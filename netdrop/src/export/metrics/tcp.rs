//! `netdrop_tcp_*`: TCP's own events, where `capture.tcp` asks for them.

use super::encoder::{Encoder, Kind};
use crate::export::tcp::{BOUNDS_US, resets_sent, samples, seconds, up_to};
use crate::model::tcp::{Counted, Retransmit, TcpCount, TcpSummary};

/// What has been counted since the daemon's start, whatever programs counted it.
#[derive(Debug)]
pub struct Tcp(TcpSummary);

impl Tcp {
    /// By the totals of a summary.
    pub fn new(summary: &TcpSummary) -> Self {
        Self(summary.since_start())
    }

    /// What was lost on the way, by stage.
    pub fn lost(&self) -> [(&'static str, u64); 3] {
        let accounts = &self.0.accounts;
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
        for (kind, count) in self.0.closes.iter() {
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
            to.sample([("type", by.as_str())], self.0.events(is_such));
        }
        let failed = self.0.events(TcpCount::has_failed);
        let help = "Segments that TCP would have sent again and could not send (told from Linux 6.16 on).";
        to.single("netdrop_tcp_retransmits_failed", Kind::Counter, "", help, failed);
    }

    fn resets(&self, to: &mut Encoder) {
        let help = "Resets; the reason is the kernel's, of those sent (Linux 6.10 on).";
        to.metric("netdrop_tcp_resets", Kind::Counter, "", help);
        for (name, count) in resets_sent(&self.0) {
            to.sample([("direction", "sent"), ("reason", name)], count);
        }
        let received = self.0.events(|count| count.counted() == Counted::ResetReceived);
        to.sample([("direction", "received"), ("reason", "")], received);
    }

    fn round_trips(&self, to: &mut Encoder) {
        let times = samples(&self.0);
        let buckets = BOUNDS_US.map(|bound| (seconds(bound), up_to(&times, bound)));
        let help = "Round-trip times as acknowledgements of new data told them.";
        to.histogram(
            "netdrop_tcp_rtt_seconds",
            "seconds",
            help,
            buckets,
            seconds(times.sum_us),
            times.count(),
        );
    }

    /// Of netdrop's network namespace alone, filter or not.
    fn host(&self, to: &mut Encoder) {
        let host = &self.0.host;
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
        let accounts = &self.0.accounts;
        let help = "Events of TCP that the programs saw, before any filter.";
        to.single("netdrop_tcp_events_seen", Kind::Counter, "", help, accounts.seen);
        let help = "Events of TCP that the filter left out; they are in no series.";
        to.single("netdrop_tcp_events_filtered", Kind::Counter, "", help, accounts.filtered);
        let help = "Events of TCP whose details were sent to user space.";
        to.single("netdrop_tcp_events_detailed", Kind::Counter, "", help, accounts.detailed);
        let help = "Events of TCP that were counted without details.";
        to.single("netdrop_tcp_events_sampled_out", Kind::Counter, "", help, accounts.sampled_out);
    }
}
