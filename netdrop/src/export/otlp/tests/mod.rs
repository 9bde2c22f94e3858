//! The exporter beside a receiver that takes, refuses, hangs, dies, lies.

mod daemon;
mod receiver;
mod tls;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, number_data_point};
use proptest::prelude::*;
use rstest::rstest;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::stats::read;
use super::*;
use crate::model::Timestamp;
use crate::output::samples::{self, written};
use crate::output::{Json, Output};
use daemon::{Daemon, line, row};
use receiver::{Act, Receiver, answer};

/// An exporter that runs beside a receiver.
struct Running {
    stats: Arc<Stats>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(daemon: &Daemon, receiver: &Receiver, settings: &Settings) -> Self {
        let stats = Arc::new(Stats::default());
        let exporter = exporter(receiver, settings, &stats);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(exporter.run(daemon.hub.clone(), async {
            let _ = stopped.await;
        }));
        Self { stats, stop: Some(stop), task }
    }

    async fn stop(mut self) -> Arc<Stats> {
        let _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
        self.stats
    }

    fn count(&self, count: impl Fn(&Stats) -> &std::sync::atomic::AtomicU64) -> u64 {
        read(count(&self.stats))
    }
}

fn exporter(receiver: &Receiver, settings: &Settings, stats: &Arc<Stats>) -> Exporter {
    let resource = Resource([("service.name".into(), "netdrop".into())].into());
    Exporter::with(settings, resource, Arc::clone(stats), &|_| Ok(receiver.dial())).unwrap().unwrap()
}

fn settings(protocol: Protocol) -> Settings {
    Settings {
        endpoint: Some("http://collector:4317".into()),
        protocol: Some(protocol),
        headers: Headers([("Authorization".into(), "Bearer x".into())].into()),
        logs_per_second: Some(1000),
        ..Settings::default()
    }
}

/// `key=value, …`, as a line.
fn text(attributes: &[KeyValue]) -> String {
    let value = |attribute: &KeyValue| match attribute.value.clone().and_then(|any| any.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|one| format!("{}={}", one.key, value(one))).collect::<Vec<_>>().join(" ")
}

/// The points of a sum or a gauge: their attributes and values.
fn points(metric: Metric) -> Vec<(String, i64)> {
    let data_points = match metric.data {
        Some(Data::Sum(sum)) => sum.data_points,
        Some(Data::Gauge(gauge)) => gauge.data_points,
        other => panic!("{other:?}"),
    };
    let value = |value| match value {
        Some(number_data_point::Value::AsInt(number)) => number,
        other => panic!("{other:?}"),
    };
    data_points.into_iter().map(|point| (text(&point.attributes), value(point.value))).collect()
}

const UDP: &str = "netdrop.reason=NO_SOCKET netdrop.class=no-receiver code.function.name=__udp4_lib_rcv \
                   network.interface.name=lo network.transport=udp network.type=ipv4";

async fn after(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// One point a check and severity, gone when it is fine; nothing where the doctor isn't asked.
#[tokio::test(start_paused = true)]
async fn findings_arrive() {
    use std::sync::Mutex;

    use crate::doctor::{Area, Diagnosis, Finding, Severity};
    use crate::export::Examination;

    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Grpc));
    let last: Arc<Mutex<Option<Arc<Examination>>>> = Arc::default();
    let exporter = exporter(&receiver, &settings(Protocol::Grpc), &Arc::default()).with_findings({
        let last = Arc::clone(&last);
        Arc::new(move || last.lock().unwrap().clone())
    });
    let task = tokio::spawn(exporter.run(daemon.hub.clone(), std::future::pending()));
    after(1).await;
    assert!(receiver.names().iter().all(|name| !name.contains("finding") && !name.contains("doctor")));
    let finding = |subject: &str| Finding {
        check: "tcp-listen-overflow",
        area: Area::Tcp,
        ..Finding::new(Severity::Critical, subject, "It overflows.")
    };
    let findings = vec![finding("one"), finding("other")];
    for (findings, is_there) in [(findings, true), (Vec::new(), false)] {
        let found = Diagnosis { findings, checked: 12, ..Diagnosis::default() };
        *last.lock().unwrap() = Some(Arc::new(Examination::new(&found, &[], 60.0)));
        // The default of an interval.
        after(60).await;
        assert_eq!(receiver.names().contains(&"netdrop.finding".to_owned()), is_there);
        let checks = [("netdrop.state=made".into(), 12), ("netdrop.state=unreadable".into(), 0)];
        assert_eq!(points(receiver.metric("netdrop.doctor.checks")), checks);
        if is_there {
            let point = "netdrop.area=tcp netdrop.check=tcp-listen-overflow netdrop.severity=critical";
            assert_eq!(points(receiver.metric("netdrop.finding")), [(point.into(), 1)]);
        }
    }
    task.abort();
}

/// By its totals, whatever an interval told; nothing where TCP isn't followed.
#[tokio::test(start_paused = true)]
async fn tcp_arrives() {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Grpc));
    let running = Running::start(&daemon, &receiver, &settings(Protocol::Grpc));
    after(1).await;
    assert!(receiver.names().iter().all(|name| !name.contains("tcp")));
    let mut sum = None;
    let first = crate::tcp::samples::counted().summed(&mut sum);
    daemon.tcp(first.summed(&mut sum));
    let _ = running.stop().await;
    let names: Vec<_> = receiver.names().into_iter().filter(|name| name.contains("tcp")).collect();
    let mut lines: Vec<String> = Vec::new();
    for name in &names {
        let metric = receiver.metric(name);
        lines.push(format!("{name} ({}) {}", metric.unit, metric.description));
        match metric.data.clone() {
            Some(Data::Histogram(histogram)) => {
                let point = &histogram.data_points[0];
                let held =
                    point.bucket_counts.iter().zip(&point.explicit_bounds).filter(|(count, _)| **count > 0);
                lines.extend(held.map(|(count, bound)| format!("  ≤ {bound} s: {count}")));
                lines.push(format!("  {} in all, {:?} s", point.count, point.sum));
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
            }
            _ => lines.extend(points(metric).iter().map(|(of, count)| format!("  {of} {count}"))),
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
    let lost = points(receiver.metric("netdrop.events.lost"));
    assert!(lost.contains(&("netdrop.stage=tcp_ring_full".into(), 0)), "{lost:?}");
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn counts_and_drops_arrive(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    daemon.counts(vec![row("NO_SOCKET", 7), row("UDP_CSUM", 2)]);
    let running = Running::start(&daemon, &receiver, &settings(protocol));
    after(1).await;
    assert_eq!(points(receiver.metric("netdrop.drops"))[0], (UDP.into(), 7));
    assert_eq!(points(receiver.metric("netdrop.drop.io"))[0], (UDP.into(), 7 * 29));
    assert_eq!(points(receiver.metric("netdrop.drops.seen")), [(String::new(), 9)]);
    assert_eq!(
        points(receiver.metric("netdrop.events.lost"))[2],
        ("netdrop.stage=recursion_misses".into(), 2)
    );
    let Some(Data::Sum(sum)) = receiver.metric("netdrop.drops").data else { panic!() };
    assert!(sum.is_monotonic);
    assert_eq!(sum.data_points[0].time_unix_nano, samples::TIME.0);
    assert_eq!(sum.data_points[0].start_time_unix_nano, samples::TIME.0 - 60_000_000_000);
    assert_eq!(receiver.headers()["authorization"], "Bearer x");
    assert!(receiver.headers()["user-agent"].to_str().unwrap().starts_with("netdrop/"));

    daemon.drops(3);
    after(4).await;
    assert_eq!(receiver.logs().len(), 0, "a batch waits for others");
    after(2).await;
    assert_eq!(receiver.records().len(), 3);
    daemon.counts(vec![row("NO_SOCKET", 8), row("UDP_CSUM", 2)]);
    let stats = running.stop().await;
    assert_eq!(points(receiver.metric("netdrop.drops"))[0], (UDP.into(), 8), "the last export");
    assert_eq!(read(&stats.logs_exported), 3);
    assert_eq!(read(&stats.logs_failed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drop_is_an_event_of_the_semantic_conventions() {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Grpc));
    let running = Running::start(&daemon, &receiver, &settings(Protocol::Grpc));
    after(1).await;
    let (socket, owner) = (samples::socket(), samples::owner());
    let parts = samples::udp();
    let mut drop = parts.drop(3);
    drop.context.socket = Some(&socket);
    drop.context.owner = Some(&owner);
    daemon.line(written(|out| Json::new().drop(&drop, out)));
    daemon.line(written(|out| Json::new().drop(&samples::full().drop(1), out)));
    daemon.line(written(|out| Json::new().drop(&samples::trapped().drop(1), out)));
    daemon.line(written(|out| Json::new().drop(&samples::bare().drop(1), out)));
    after(1).await;
    running.stop().await;
    let told = receiver.records().iter().fold(String::new(), |told, record| {
        assert_eq!(record.event_name, "netdrop.drop");
        assert_eq!(record.time_unix_nano, samples::TIME.0);
        assert!(record.observed_time_unix_nano > 0);
        let Some(Value::StringValue(body)) = record.body.clone().and_then(|body| body.value) else {
            panic!()
        };
        told + &format!("{} {body}\n  {}\n", record.severity_text, text(&record.attributes))
    });
    insta::assert_snapshot!(told);
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn a_receiver_that_was_down_has_all_counts_in_the_end(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    let running = Running::start(&daemon, &receiver, &settings(protocol));
    after(1).await;
    receiver.set_down(true);
    daemon.counts(vec![row("NO_SOCKET", 1000)]);
    daemon.drops(600);
    after(200).await;
    assert_eq!(receiver.metrics().len(), 1);
    assert_eq!(running.count(|stats| &stats.metrics_failures), 3);
    receiver.set_down(false);
    daemon.counts(vec![row("NO_SOCKET", 1001)]);
    after(100).await;
    assert_eq!(points(receiver.metric("netdrop.drops")), [(UDP.into(), 1001)]);
    assert_eq!(receiver.records().len(), 600, "batches were tried again");
    assert_eq!(receiver.open(), 2, "one connection for metrics, one for logs");
    let stats = running.stop().await;
    assert_eq!(read(&stats.logs_exported), 600);
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_costs_a_bounded_queue(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    receiver.set_hanging(true);
    let running = Running::start(&daemon, &receiver, &settings(protocol));
    for _ in 0..20 {
        after(1).await;
        daemon.drops(500);
    }
    after(60).await;
    let (read_lines, full) =
        (running.count(|stats| &stats.logs_read), running.count(|stats| &stats.logs_queue_full));
    assert_eq!(read_lines, 20 * 500);
    let most = u64::try_from(queue::MOST + queue::BATCH).unwrap();
    assert_eq!(read_lines - full, most, "the queue is full, and one batch is on its way");
    // A connection that hung is given up before the next is made.
    assert!(receiver.open() <= 2, "{} connections", receiver.open());
    receiver.set_hanging(false);
    after(60).await;
    assert_eq!(
        points(receiver.metric("netdrop.otlp.log_records"))[2],
        ("netdrop.outcome=queue_full".into(), i64::try_from(full).unwrap())
    );
    let stats = running.stop().await;
    assert_eq!(read(&stats.logs_exported), most);
    assert_eq!(u64::try_from(receiver.records().len()).unwrap(), most);
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_receiver_that_hangs(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    receiver.set_hanging(true);
    let running = Running::start(&daemon, &receiver, &settings(protocol));
    after(1).await;
    daemon.drops(700);
    after(1).await;
    let start = Instant::now();
    let stats = running.stop().await;
    assert!(start.elapsed() <= GRACE + Duration::from_millis(10), "{:?}", start.elapsed());
    assert_eq!((read(&stats.logs_read), read(&stats.logs_failed)), (700, 700), "what was left is counted");
    tokio::task::yield_now().await;
    after(1).await;
    assert_eq!(receiver.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_run_is_exported() {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Grpc));
    let running = Running::start(&daemon, &receiver, &settings(Protocol::Grpc));
    after(1).await;
    daemon.counts(vec![row("NO_SOCKET", 5)]);
    daemon.drops(2);
    // Nobody asks to end: the daemon is gone.
    drop(daemon);
    tokio::time::timeout(Duration::from_secs(61), running.task).await.unwrap().unwrap();
    assert_eq!(points(receiver.metric("netdrop.drops")), [(UDP.into(), 5)]);
    assert_eq!(receiver.records().len(), 2);
}

/// How often it is tried, whether it is taken, how long it takes at least and at most.
#[rstest]
#[case::later(Protocol::Http, vec![answer(503, &[], "")], 2, true, 0..=2)]
#[case::when_it_says(Protocol::Http, vec![answer(503, &[("retry-after", "20")], ""), answer(429, &[("retry-after", "30")], "")], 3, true, 50..=53)]
#[case::much_later_than_patience(Protocol::Http, vec![answer(503, &[("retry-after", "99999999999")], "")], 1, false, 0..=0)]
#[case::never(Protocol::Http, vec![answer(400, &[], "")], 1, false, 0..=0)]
#[case::a_redirect(Protocol::Http, vec![answer(307, &[("location", "http://elsewhere/v1/logs")], "")], 1, false, 0..=0)]
#[case::a_web_page(Protocol::Http, vec![answer(200, &[("content-type", "text/html")], "<html>")], 1, false, 0..=0)]
#[case::garbage(Protocol::Http, vec![answer(200, &[("content-type", "application/x-protobuf")], "\u{1}\u{2}\u{3}")], 1, false, 0..=0)]
#[case::a_huge_answer(Protocol::Http, vec![answer(200, &[("content-type", "application/x-protobuf")], vec![0; 1 << 20])], 1, false, 0..=0)]
#[case::huge_headers(Protocol::Http, vec![answer(200, &[("x", &"x".repeat(100 << 10))], "")], 2, true, 0..=2)]
#[case::nothing_to_say(Protocol::Http, vec![answer(200, &[("content-type", "text/plain")], "")], 1, false, 0..=0)]
#[case::unavailable(Protocol::Grpc, vec![Act::Refuse(Status::unavailable("busy"))], 2, true, 0..=2)]
#[case::exhausted(Protocol::Grpc, vec![Act::Refuse(Status::resource_exhausted("quota"))], 1, false, 0..=0)]
#[case::unauthenticated(Protocol::Grpc, vec![Act::Refuse(Status::unauthenticated("token"))], 1, false, 0..=0)]
#[case::a_huge_refusal(Protocol::Grpc, vec![Act::Refuse(Status::new(Code::Internal, "x".repeat(100 << 10)))], 2, true, 0..=2)]
#[tokio::test(start_paused = true)]
async fn answers_are_heard(
    #[case] protocol: Protocol,
    #[case] acts: Vec<Act>,
    #[case] tries: usize,
    #[case] comes_to_be_taken: bool,
    #[case] seconds: std::ops::RangeInclusive<u64>,
) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    let only_logs = Settings {
        endpoint: None,
        logs_endpoint: Some("http://collector/v1/logs".into()),
        ..settings(protocol)
    };
    let running = Running::start(&daemon, &receiver, &only_logs);
    after(1).await;
    receiver.will(acts);
    daemon.drops(1);
    after(120).await;
    let times = receiver.times();
    assert_eq!(times.len(), tries);
    assert!(seconds.contains(&(*times.last().unwrap() - times[0]).as_secs()), "{times:?}");
    assert_eq!(receiver.records().len(), usize::from(comes_to_be_taken));
    daemon.drops(1);
    after(10).await;
    assert_eq!(receiver.records().len(), usize::from(comes_to_be_taken) + 1, "the next is taken");
    let stats = running.stop().await;
    let is_known = read(&stats.logs_failed) + read(&stats.logs_exported);
    assert_eq!(is_known, 2);
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn what_a_receiver_leaves_out_is_counted(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    receiver.will([Act::TakeBut(4)]);
    let running = Running::start(&daemon, &receiver, &settings(protocol));
    after(1).await;
    assert_eq!(running.count(|stats| &stats.points_rejected), 4);
    receiver.will([Act::TakeBut(2), Act::TakeBut(1_000_000), Act::TakeBut(i64::MIN)]);
    for _ in 0..3 {
        daemon.drops(5);
        after(6).await;
    }
    let stats = running.stop().await;
    assert_eq!((read(&stats.logs_rejected), read(&stats.logs_exported)), (2 + 5, 3 + 5));
}

#[tokio::test(start_paused = true)]
async fn more_than_the_rate_is_counted_and_told() {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Http));
    let settings = Settings { logs_per_second: Some(10), ..settings(Protocol::Http) };
    let running = Running::start(&daemon, &receiver, &settings);
    after(1).await;
    daemon.drops(100);
    daemon.line("no drop".into());
    after(1).await;
    daemon.line("no drop".into());
    after(1).await;
    let stats = running.stop().await;
    assert_eq!(receiver.records().len(), 10);
    let lost: Vec<(&str, u64)> = stats.lost().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(lost, [("otlp_rate_limited", 91), ("otlp_undecodable", 1)]);
    assert_eq!(read(&stats.logs_read), 102);
}

#[tokio::test(start_paused = true)]
async fn series_beyond_the_limit_are_one_that_says_so() {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(Protocol::Http));
    let settings = Settings {
        max_series: Some(2),
        attributes: Some(vec![Label::Reason]),
        logs_per_second: Some(0),
        ..settings(Protocol::Http)
    };
    daemon.counts((0..5).map(|number| row(&number.to_string(), 10 + number)).collect());
    let running = Running::start(&daemon, &receiver, &settings);
    after(1).await;
    let expected =
        [("netdrop.reason=0", 10), ("netdrop.reason=1", 11), ("otel.metric.overflow=true", 12 + 13 + 14)];
    assert_eq!(
        points(receiver.metric("netdrop.drops")),
        expected.map(|(key, count)| (key.to_owned(), count))
    );
    running.stop().await;
}

/// Counts how often a future is polled.
struct Polled<F>(Pin<Box<F>>, Arc<AtomicUsize>);

impl<F: Future> Future for Polled<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.as_mut().poll(context)
    }
}

#[rstest]
#[case(Protocol::Grpc)]
#[case(Protocol::Http)]
#[tokio::test(start_paused = true)]
async fn nothing_wakes_it_but_its_interval(#[case] protocol: Protocol) {
    let (daemon, receiver) = (Daemon::start(), Receiver::new(protocol));
    let stats = Arc::new(Stats::default());
    let exporter = exporter(&receiver, &settings(protocol), &stats);
    let polls = Arc::new(AtomicUsize::new(0));
    let running =
        Polled(Box::pin(exporter.run(daemon.hub.clone(), std::future::pending())), Arc::clone(&polls));
    let task = tokio::spawn(running);
    after(30).await;
    let before = polls.load(Ordering::Relaxed);
    // Between two exports.
    after(29).await;
    assert_eq!(polls.load(Ordering::Relaxed), before);
    after(600).await;
    assert_eq!(receiver.metrics().len(), 11);
    task.abort();
}

#[test]
fn what_settings_cannot_mean_is_said() {
    let said = |settings: Settings| {
        let error = Exporter::new(&settings, Resource::default(), Arc::default()).map(|_| ()).unwrap_err();
        error.to_string()
    };
    let https = || Settings { endpoint: Some("https://collector".into()), ..Settings::default() };
    insta::assert_snapshot!(said(Settings { endpoint: Some("collector:4317".into()), ..Settings::default() }), @r#"otlp: the endpoint "collector:4317" is no http:// or https:// URL: write one such as http://collector:4317"#);
    insta::assert_snapshot!(said(Settings { interval: Some(Duration::from_millis(1)), ..Settings::default() }), @"otlp: interval must be at least 1s");
    insta::assert_snapshot!(said(Settings { headers: Headers([("a b".into(), "secret".into())].into()), ..settings(Protocol::Grpc) }), @r#"otlp: the header "a b" has a name or a value that HTTP does not allow: correct it"#);
    insta::assert_snapshot!(said(Settings { ca_file: Some("/none".into()), ..https() }), @"otlp: cannot read /none: No such file or directory (os error 2); an https endpoint needs it");
    insta::assert_snapshot!(said(Settings { ca_file: Some("/dev/null".into()), ..https() }), @"otlp: /dev/null has no certificate (PEM) of use");
    insta::assert_snapshot!(said(Settings { cert_file: Some("/none".into()), ..https() }), @"otlp: cert_file and key_file belong together: set both or none");
}

proptest! {
    #[test]
    fn any_line_is_mapped_or_refused(line in ".{0,200}") {
        prop_assert!(records::record(&line, Timestamp(1)).is_none());
    }

    /// A line with anything in place of one of its values is a record, or none; never a panic.
    #[test]
    fn any_change_of_a_line_is_mapped_or_refused(at in 0_usize..400, with in prop::collection::vec(any::<char>(), 0..4), length in 0_usize..8) {
        let mut chars: Vec<char> = line().chars().collect();
        let at = at.min(chars.len());
        let end = (at + length).min(chars.len());
        chars.splice(at..end, with);
        let line: String = chars.into_iter().collect();
        if let Some(record) = records::record(&line, Timestamp(1)) {
            prop_assert!(!record.attributes.is_empty() && record.body.is_some());
        }
    }
}
