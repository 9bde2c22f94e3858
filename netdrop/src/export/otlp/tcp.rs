//! TCP's own metrics, where `capture.tcp` asks for them: what Prometheus gets as `netdrop_tcp_*`.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Histogram, HistogramDataPoint, Metric,
};

use super::points::{Times, by, counter};
use super::value::text;
use crate::export::tcp::{BOUNDS_US, resets_sent, samples, seconds, up_to};
use crate::model::tcp::{Counted, Retransmit, TcpCount, TcpSummary};

/// OpenTelemetry's semantic conventions for network attributes: `transmit` or `receive`.
const DIRECTION: &str = "network.io.direction";

/// All of them; `tcp` is of all the time since the start.
pub(super) fn metrics(times: &Times, tcp: &TcpSummary) -> Vec<Metric> {
    let mut metrics = events(times, tcp).to_vec();
    metrics.extend(round_trips(times, tcp));
    metrics.extend(host(times, tcp));
    metrics.extend(accounts(times, tcp));
    metrics
}

/// Points of `netdrop.events.lost`.
pub(super) fn lost(tcp: &TcpSummary) -> Vec<(Vec<KeyValue>, u64)> {
    let lost = [
        ("tcp_ring_full", tcp.total.ring_full),
        ("tcp_recursion_misses", tcp.total.recursion_misses),
        ("tcp_untracked", tcp.total.untracked),
    ];
    by("netdrop.stage", lost).collect()
}

fn events(times: &Times, tcp: &TcpSummary) -> [Metric; 4] {
    // All of them, so that a first one is an increase.
    let retransmits = Retransmit::ALL.map(|by| {
        let is_such = |count: &TcpCount| count.retransmit() == Some(by) && !count.has_failed();
        (vec![text("netdrop.tcp.retransmit", by.as_str())], tcp.events(is_such))
    });
    let sent = resets_sent(tcp).into_iter().map(|(reason, count)| {
        let reason = (!reason.is_empty()).then(|| text("netdrop.reason", reason));
        ([text(DIRECTION, "transmit")].into_iter().chain(reason).collect(), count)
    });
    let received = tcp.events(|count| count.counted() == Counted::ResetReceived);
    let closes =
        tcp.closes.iter().map(|(kind, count)| (vec![text("netdrop.tcp.close", kind.as_str())], count));
    [
        counter(
            times,
            "netdrop.tcp.retransmits",
            "{retransmit}",
            "Segments that TCP sent again, by what made it do so.",
            retransmits,
        ),
        counter(
            times,
            "netdrop.tcp.retransmits.failed",
            "{retransmit}",
            "Segments that TCP would have sent again and could not send (told from Linux 6.16 on).",
            [(Vec::new(), tcp.events(TcpCount::has_failed))],
        ),
        counter(
            times,
            "netdrop.tcp.resets",
            "{reset}",
            "Resets; the reason is the kernel's, of those sent (Linux 6.10 on).",
            sent.chain([(vec![text(DIRECTION, "receive")], received)]),
        ),
        counter(
            times,
            "netdrop.tcp.connections.closed",
            "{connection}",
            "Connections that ended, by how: what details tell of them; a detail stands for those sampled out before it.",
            closes,
        ),
    ]
}

/// A histogram of cumulative counts.
fn round_trips(times: &Times, tcp: &TcpSummary) -> [Metric; 1] {
    let samples = samples(tcp);
    let mut below = 0;
    let mut bucket_counts: Vec<u64> = BOUNDS_US
        .iter()
        .map(|bound| {
            let up_to = up_to(&samples, *bound);
            up_to - std::mem::replace(&mut below, up_to)
        })
        .collect();
    bucket_counts.push(samples.count() - below);
    let point = HistogramDataPoint {
        start_time_unix_nano: times.start.0,
        time_unix_nano: times.now.0,
        count: samples.count(),
        sum: Some(seconds(samples.sum_us)),
        bucket_counts,
        explicit_bounds: BOUNDS_US.map(seconds).to_vec(),
        ..HistogramDataPoint::default()
    };
    let data = Histogram {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Cumulative.into(),
    };
    [Metric {
        name: "netdrop.tcp.rtt".into(),
        unit: "s".into(),
        description: "Round-trip times as acknowledgements of new data told them.".into(),
        data: Some(Data::Histogram(data)),
        ..Metric::default()
    }]
}

/// Of netdrop's network namespace alone, filter or not.
fn host(times: &Times, tcp: &TcpSummary) -> [Metric; 3] {
    let host = &tcp.host;
    [
        ("sent", "Segments sent, without those sent again (TcpOutSegs).", host.segments_out),
        ("retransmitted", "Segments sent again (TcpRetransSegs).", host.segments_retransmitted),
        ("received", "Segments received (TcpInSegs).", host.segments_in),
    ]
    .map(|(which, what, count)| {
        let description = format!("{what} By the kernel's own count of the daemon's network namespace.");
        let name = format!("netdrop.tcp.segments.{which}");
        counter(times, &name, "{segment}", &description, [(Vec::new(), count)])
    })
}

fn accounts(times: &Times, tcp: &TcpSummary) -> [Metric; 2] {
    let accounts = &tcp.accounts;
    let details = [
        ("detailed", accounts.detailed),
        ("sampled_out", accounts.sampled_out),
        ("ring_full", accounts.ring_full),
        ("filtered", accounts.filtered),
    ];
    [
        counter(
            times,
            "netdrop.tcp.events.seen",
            "{event}",
            "Events of TCP that the programs saw, before any filter.",
            [(Vec::new(), accounts.seen)],
        ),
        counter(
            times,
            "netdrop.tcp.events.accounts",
            "{event}",
            "Where each event of TCP went; the accounts add up to netdrop.tcp.events.seen.",
            by("netdrop.account", details),
        ),
    ]
}
