//! A summary → what OTLP calls a request to export metrics. All sums are cumulative, so that an export that is lost is made
//! good by the next.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};

use super::cost::Cost;
use super::findings;
use super::series::{Key, Series};
use super::stats::{Stats, read};
use super::tcp;
use super::value::{flag, resource, scope, signed, text};
use crate::export::{Examination, Resource};
use crate::model::{Counts, Summary, Timestamp};

/// What the specification of metrics' SDKs calls the one series of all that had no room.
const OVERFLOW: &str = "otel.metric.overflow";

/// What is remembered from one export to the next.
#[derive(Debug)]
pub(super) struct Metrics {
    series: Series,
    resource: Resource,
    /// When counting began, told with each point: fixed at the first export, whatever the clock does later.
    start: Option<Timestamp>,
}

impl Metrics {
    pub fn new(series: Series, resource: Resource) -> Self {
        Self { series, resource, start: None }
    }

    /// The request that tells `summary`, what the doctor found, what was lost on the way, and what netdrop costs.
    pub fn request(
        &mut self,
        summary: &Summary,
        found: Option<&Examination>,
        stats: &Stats,
        cost: Cost,
    ) -> ExportMetricsServiceRequest {
        self.series.update(&summary.rows);
        let elapsed = u64::try_from(summary.elapsed.as_nanos()).unwrap_or(u64::MAX);
        let start = *self.start.get_or_insert(Timestamp(summary.time.0.saturating_sub(elapsed)));
        let times = Times { start, now: summary.time.max(start) };
        let mut metrics = vec![
            self.drops(&times, "netdrop.drops", "{packet}", "Packets that the kernel dropped.", |counts| {
                counts.packets
            }),
            self.drops(
                &times,
                "netdrop.drop.io",
                "By",
                "Bytes of the packets that the kernel dropped.",
                |counts| counts.bytes,
            ),
        ];
        metrics.extend(accounts(&times, summary));
        metrics.extend(summary.tcp.iter().flat_map(|tcp| tcp::metrics(&times, &tcp.since_start())));
        metrics.extend(found.into_iter().flat_map(|found| findings::metrics(&times, found)));
        metrics.extend(own(&times, stats));
        metrics.extend(costs(&times, cost));
        let scope_metrics = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource(&self.resource)),
                scope_metrics: vec![scope_metrics],
                ..ResourceMetrics::default()
            }],
        }
    }

    fn drops(
        &self,
        times: &Times,
        name: &str,
        unit: &str,
        description: &str,
        count: fn(Counts) -> u64,
    ) -> Metric {
        let own = self.series.own().map(|(key, counts)| (self.attributes(key), count(counts)));
        let rest = self.series.rest().map(|rest| (vec![flag(OVERFLOW)], count(rest)));
        counter(times, name, unit, description, own.chain(rest))
    }

    fn attributes(&self, key: &Key) -> Vec<KeyValue> {
        let named = self.series.labels().iter().zip(key);
        named.filter_map(|(label, value)| Some(text(label.key(), value.as_deref()?))).collect()
    }
}

/// The points' times.
pub(super) struct Times {
    pub start: Timestamp,
    pub now: Timestamp,
}

impl Times {
    fn point(&self, attributes: Vec<KeyValue>, value: Value) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            start_time_unix_nano: self.start.0,
            time_unix_nano: self.now.0,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }
}

/// Where every drop and every detail went, and what the counts lack.
fn accounts(times: &Times, summary: &Summary) -> [Metric; 3] {
    let total = &summary.total;
    let details = [
        ("detailed", total.detailed),
        ("sampled_out", total.sampled_out),
        ("ring_full", total.ring_full),
        ("filtered", total.filtered),
    ];
    let lost = [
        ("ring_full", total.ring_full),
        ("table_full", total.table_full),
        ("recursion_misses", total.recursion_misses),
        ("stackless", total.stackless),
    ];
    [
        counter(
            times,
            "netdrop.drops.seen",
            "{packet}",
            "Drops that the kernel program saw, also those that a filter left out.",
            [(Vec::new(), total.seen)],
        ),
        counter(
            times,
            "netdrop.drops.accounts",
            "{packet}",
            "Where each drop's details went; the accounts add up to netdrop.drops.seen.",
            by("netdrop.account", details),
        ),
        counter(
            times,
            "netdrop.events.lost",
            "{event}",
            "Drops or their details that netdrop lost, by the stage that lost them.",
            by("netdrop.stage", lost).chain(summary.tcp.iter().flat_map(|tcp| tcp::lost(tcp))),
        ),
    ]
}

/// What became of log records, and of the metrics before these.
fn own(times: &Times, stats: &Stats) -> [Metric; 2] {
    let records = [
        ("exported", read(&stats.logs_exported)),
        ("rate_limited", read(&stats.logs_rate_limited)),
        ("queue_full", read(&stats.logs_queue_full)),
        ("undecodable", read(&stats.logs_undecodable)),
        ("rejected", read(&stats.logs_rejected)),
        ("failed", read(&stats.logs_failed)),
        ("lagged", read(&stats.logs_lagged)),
    ];
    let exports = [("exported", read(&stats.metrics_exports)), ("failed", read(&stats.metrics_failures))];
    [
        counter(
            times,
            "netdrop.otlp.log_records",
            "{record}",
            "What became of the detailed drops that came to the OTLP exporter.",
            by("netdrop.outcome", records),
        ),
        counter(
            times,
            "netdrop.otlp.metric_exports",
            "{export}",
            "Exports of metrics before this one.",
            by("netdrop.outcome", exports),
        ),
    ]
}

/// Semantic conventions for process metrics.
fn costs(times: &Times, cost: Cost) -> Vec<Metric> {
    let cpu = cost.cpu.map(|(user, system)| {
        let points = [("user", user), ("system", system)].map(|(mode, time)| {
            times.point(vec![text("cpu.mode", mode)], Value::AsDouble(time.as_secs_f64()))
        });
        let data = sum(true, points.into());
        metric("process.cpu.time", "s", "CPU time that netdrop has used.", data)
    });
    let memory = cost.memory.map(|bytes| {
        let point = times.point(Vec::new(), Value::AsInt(signed(bytes)));
        let data = sum(false, vec![point]);
        metric("process.memory.usage", "By", "Memory of netdrop that is resident.", data)
    });
    cpu.into_iter().chain(memory).collect()
}

pub(super) fn by<const N: usize>(
    key: &'static str,
    counts: [(&'static str, u64); N],
) -> impl Iterator<Item = (Vec<KeyValue>, u64)> {
    counts.into_iter().map(move |(value, count)| (vec![text(key, value)], count))
}

pub(super) fn counter(
    times: &Times,
    name: &str,
    unit: &str,
    description: &str,
    points: impl IntoIterator<Item = (Vec<KeyValue>, u64)>,
) -> Metric {
    metric(name, unit, description, sum(true, whole(times, points)))
}

/// What may go up and down, and go away.
pub(super) fn gauge(
    times: &Times,
    name: &str,
    unit: &str,
    description: &str,
    points: impl IntoIterator<Item = (Vec<KeyValue>, u64)>,
) -> Metric {
    metric(name, unit, description, Data::Gauge(Gauge { data_points: whole(times, points) }))
}

/// Points of whole numbers.
fn whole(times: &Times, points: impl IntoIterator<Item = (Vec<KeyValue>, u64)>) -> Vec<NumberDataPoint> {
    let point = |(attributes, count)| times.point(attributes, Value::AsInt(signed(count)));
    points.into_iter().map(point).collect()
}

fn sum(is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Data {
    let aggregation_temporality = AggregationTemporality::Cumulative.into();
    Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
}

fn metric(name: &str, unit: &str, description: &str, data: Data) -> Metric {
    Metric {
        name: name.into(),
        unit: unit.into(),
        description: description.into(),
        data: Some(data),
        ..Metric::default()
    }
}
