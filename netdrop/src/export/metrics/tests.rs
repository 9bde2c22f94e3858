use std::sync::Arc;

use super::*;
use crate::knowledge::Class;
use crate::model::{Counts, Device, Reason, Row};

fn sample() -> Metrics {
    let metrics = Metrics::new(&Settings::default());
    let reason =
        Reason { number: 3, name: "NO_SOCKET".into(), class: Class::NoReceiver, subsystem: "core".into() };
    let row = Row {
        counts: Counts { packets: 7, bytes: 420 },
        total: Counts { packets: 7, bytes: 420 },
        function: Some("__udp4_lib_rcv".into()),
        reason: Some(Arc::new(reason)),
        class: Some(Class::NoReceiver),
        device: Some(Arc::new(Device { index: 1, name: Some("lo".into()) })),
        ..Row::default()
    };
    let total = Accounts { seen: 9, filtered: 2, detailed: 3, sampled_out: 4, ..Accounts::default() };
    metrics.record(&Summary { rows: vec![row], total, ..Summary::default() });
    metrics.stage("log_full").fetch_add(5, Ordering::Relaxed);
    metrics.attached(About {
        version: "0.1.0".into(),
        kernel: "6.18".into(),
        attached_as: "tp_btf".into(),
        features: vec![("reasons", true), ("devlink_traps", false)],
    });
    metrics.reloaded(true);
    metrics
}

fn encoded(format: Format) -> String {
    let metrics = sample();
    let own = Own { cpu_seconds: 0.25, resident_bytes: Some(9_000_000), descriptors: Some(12) };
    let mut state = metrics.state();
    state.started = Timestamp(1_700_000_000_000_000_000);
    encode(&state, &own, format)
}

#[test]
fn prometheus() {
    insta::assert_snapshot!(encoded(Format::Text));
}

#[test]
fn open_metrics() {
    insta::assert_snapshot!(encoded(Format::OpenMetrics));
}

/// TCP's families: what is asked for alone, and sums that only grow.
#[test]
fn tcp() {
    let metrics = Metrics::new(&Settings::default());
    assert!(!metrics.encode(Format::Text).contains("netdrop_tcp"));
    let mut sum = None;
    for _ in 0..2 {
        let tcp = crate::tcp::samples::counted().summed(&mut sum);
        metrics.record(&crate::tcp::samples::summary(tcp));
    }
    // A program that was asked for no longer tells nothing, and counters stay.
    metrics.record(&Summary::default());
    let text = metrics.encode(Format::Text);
    let of_tcp: Vec<_> = text.lines().filter(|line| line.contains("tcp")).collect();
    insta::assert_snapshot!(of_tcp.join("\n"));
    let text = metrics.encode(Format::OpenMetrics);
    assert!(
        text.contains("# TYPE netdrop_tcp_rtt_seconds histogram\n# UNIT netdrop_tcp_rtt_seconds seconds\n")
    );
}

/// One series a check and severity, however many it found; gone when it is fine.
#[test]
fn findings() {
    use crate::doctor::{Area, Diagnosis, Finding, Home, Severity};
    let metrics = Metrics::new(&Settings::default());
    assert!(!metrics.encode(Format::Text).contains("netdrop_finding"));
    let finding = |subject: &str| Finding {
        check: "tcp-listen-overflow",
        area: Area::Tcp,
        ..Finding::new(Severity::Critical, subject, "It overflows.").explains(&["TCP_LISTEN_OVERFLOW"])
    };
    let found =
        Diagnosis { findings: vec![finding("one"), finding("other")], checked: 12, ..Diagnosis::default() };
    let homes = [Home { inode: 7, ..Home::default() }];
    metrics.examined(Examination::new(&found, &homes, 60.0));
    let text = metrics.encode(Format::Text);
    let of: Vec<_> =
        text.lines().filter(|line| line.contains("finding") || line.contains("doctor")).collect();
    insta::assert_snapshot!(of.join("\n"), @r#"
    # HELP netdrop_finding What the doctor found in its last examination; gone when it is fine again.
    # TYPE netdrop_finding gauge
    netdrop_finding{area="tcp",check="tcp-listen-overflow",severity="critical"} 1
    # HELP netdrop_doctor_checks Checks that were made in the doctor's last examination, and those that could not be.
    # TYPE netdrop_doctor_checks gauge
    netdrop_doctor_checks{state="made"} 12
    netdrop_doctor_checks{state="unreadable"} 0
    "#);
    let examination = metrics.examination().unwrap();
    crate::output::json::validate(&examination.json);
    crate::output::json::validate(&Examination::none().json);
    assert_eq!((examination.explanations.len(), examination.explanations[0].netns), (2, Some(7)));
    metrics.examined(Examination::new(&Diagnosis { checked: 12, ..Diagnosis::default() }, &homes, 60.0));
    assert!(!metrics.encode(Format::Text).contains("netdrop_finding{"));
}

#[test]
fn a_stage_has_one_counter() {
    let metrics = sample();
    metrics.stage("log_full").fetch_add(1, Ordering::Relaxed);
    assert!(metrics.encode(Format::Text).contains("netdrop_events_lost_total{stage=\"log_full\"} 6\n"));
}

#[tokio::test]
async fn a_scrape_waits_for_fresh_counters() {
    let (hub, mut writer) = crate::export::hub();
    let metrics = sample();
    let scraper = metrics.clone();
    let text = tokio::spawn(async move { scraper.scrape(&hub, Format::Text).await });
    let asked = writer.asked().await;
    let summary = Summary { total: Accounts { seen: 77, ..Accounts::default() }, ..Summary::default() };
    metrics.record(&summary);
    writer.publish(summary, [asked]);
    assert!(text.await.unwrap().unwrap().contains("netdrop_drops_seen_total 77\n"));
}
