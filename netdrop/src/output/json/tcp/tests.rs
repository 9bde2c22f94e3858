//! Every line of TCP's is within the schema.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use netdrop_common::tcp::{RTT_BUCKETS, TcpEvent as Raw, rtt_bucket};
use proptest::prelude::*;
use serde_json::Value;

use super::super::{Json, validate};
use crate::decode::RawDrop;
use crate::enrich::{Beside, Beyond, Enricher, Known};
use crate::kernel::reasons::Reasons;
use crate::model::tcp::{
    CloseKind, Connection, Opened, Retransmit, RttRow, RttWhat, Segment, TcpEvent, TcpKind, TcpNumbers,
    TcpSummary,
};
use crate::model::{Summary, TcpFlags, Workload};
use crate::output::Output as _;
use crate::output::samples::{self, written};
use crate::tcp::samples::{counted, endpoint, event, rtt, summary};

fn line(event: &TcpEvent) -> String {
    let line = written(|out| Json::new().tcp(event, out));
    validate(&line);
    line
}

fn segment(flags: u8) -> Segment {
    Segment { sequence: 4_026_531_840, length: 2896, segments: 2, flags: TcpFlags(flags) }
}

fn retransmitted() -> TcpEvent {
    let (by, segment) = (Retransmit::Rto, segment(0x18));
    event(TcpKind::Retransmit { by, segment, attempt: 1, state: 1, failed: None })
}

#[test]
fn a_retransmission() {
    let mut event = retransmitted();
    event.weight = 3;
    event.device = Some(samples::device(2, "eth0"));
    event.netns = Some(samples::netns(4_026_532_001, "web"));
    assert_snapshot!(line(&event));
}

#[rstest::rstest]
#[case::went_out(None, None)]
#[case::had_no_memory(Some(12), Some("ENOMEM"))]
#[case::of_another_kernel(Some(4000), Some("errno-4000"))]
#[case::of_no_kernel(Some(u32::MAX), Some("errno-4294967295"))]
fn what_could_not_be_sent_says_so(#[case] failed: Option<u32>, #[case] told: Option<&str>) {
    let kind = TcpKind::Retransmit {
        by: Retransmit::SynAck,
        segment: Segment::default(),
        attempt: 0,
        state: 12,
        failed,
    };
    let value: Value = serde_json::from_str(&line(&event(kind))).unwrap();
    assert_eq!(value.get("failed").and_then(Value::as_str), told);
    assert_eq!((&value["type"], &value["state"]), (&"syn-ack".into(), &"NEW_SYN_RECV".into()));
}

/// A closed port: there is no socket, and so no owner and nothing of a connection.
#[test]
fn resets() {
    let no_socket = TcpEvent {
        local: Some(endpoint("127.0.0.1:9")),
        remote: Some(endpoint("127.0.0.1:48777")),
        socket: None,
        owner: None,
        numbers: None,
        ..event(TcpKind::ResetSent {
            reason: Some("NO_SOCKET".into()),
            state: None,
            answers: Some(Segment { length: 0, segments: 1, ..segment(2) }),
        })
    };
    let aborted = TcpEvent {
        numbers: None,
        socket: None,
        ..event(TcpKind::ResetSent { reason: None, state: Some(1), answers: None })
    };
    let received = TcpEvent {
        numbers: None,
        v4_mapped: true,
        remote: Some(endpoint("[2001:db8::2]:443")),
        ..event(TcpKind::ResetReceived { state: 2 })
    };
    assert_snapshot!([line(&no_socket), line(&aborted), line(&received)].join(""));
}

#[test]
fn states_and_ends() {
    let spent = Some(Duration::from_nanos(1_500_700));
    let state = TcpEvent { numbers: None, ..event(TcpKind::State { from: 2, to: 1, spent }) };
    let mut close = event(TcpKind::Close { kind: CloseKind::Timeout, from: 1, error: Some(110) });
    close.connection.reset_sent = true;
    close.connection.fin_received = true;
    assert_snapshot!([line(&state), line(&close)].join(""));
}

#[test]
fn what_was_not_measured_is_absent() {
    let mut event = retransmitted();
    let numbers =
        TcpNumbers { ssthresh: 0x7fff_ffff, min_rtt_us: u32::MAX, ca_state: 9, ..TcpNumbers::default() };
    event.numbers = Some(numbers);
    event.connection = Connection::default();
    let value: Value = serde_json::from_str(&line(&event)).unwrap();
    for member in
        ["ssthresh", "srtt_us", "rttvar_us", "min_rtt_us", "rtt_us", "delivery_rate", "ca_state", "algorithm"]
    {
        assert_eq!(value["tcp"].get(member), None, "{member}");
    }
    assert_eq!(value["connection"], serde_json::json!({ "known_since_birth": false }));
}

/// 10 segments of 1448 bytes in 20 ms.
#[test]
fn the_delivery_rate_is_in_bytes_a_second() {
    let value: Value = serde_json::from_str(&line(&retransmitted())).unwrap();
    assert_eq!(value["tcp"]["delivery_rate"], 724_000);
}

#[test]
fn an_interval_and_an_end() {
    let interval = written(|out| Json::new().summary(&summary(counted()), out));
    let end = written(|out| Json::new().end(&summary(counted()), out));
    validate(&interval);
    validate(&end);
    assert_snapshot!(interval + &end);
}

#[rstest::rstest]
#[case::without_a_type(r#"{"v":1,"kind":"tcp.retransmit","time":"2026-11-22T00:43:45.123456789Z","weight":1,"cpu":0,"state":"CLOSE","attempt":0,"segment":{"sequence":1,"length":0,"segments":1,"flags":""}}"#)]
#[case::an_owner_of_whom_nobody_says_how(r#"{"v":1,"kind":"tcp.reset","time":"2026-11-22T00:43:45.123456789Z","weight":1,"cpu":0,"direction":"sent","owner":{"pid":1,"command":"a"}}"#)]
#[case::another_end(r#"{"v":1,"kind":"tcp.close","time":"2026-11-22T00:43:45.123456789Z","weight":1,"cpu":0,"close":"well","from":"CLOSE"}"#)]
#[case::an_error_in_words(r#"{"v":1,"kind":"tcp.close","time":"2026-11-22T00:43:45.123456789Z","weight":1,"cpu":0,"close":"fin","from":"CLOSE","error":"timed out"}"#)]
#[case::a_type_of_a_state(r#"{"v":1,"kind":"tcp.state","time":"2026-11-22T00:43:45.123456789Z","weight":1,"cpu":0,"from":"CLOSE","to":"LISTEN","type":"rto"}"#)]
#[should_panic(expected = "oneOf")]
fn the_schema_refuses(#[case] line: &str) {
    validate(line);
}

/// Nobody knows anything beyond.
struct Nothing;

impl Beyond for Nothing {
    fn of(&mut self, _: &RawDrop<'_>, _: Known<'_>) -> Beside {
        Beside::default()
    }

    fn in_netns(&mut self, _: u32) -> Option<Arc<Workload>> {
        None
    }
}

prop_compose! {
    fn any_raw()(
        words in any::<[u32; 8]>(),
        times in any::<[u64; 4]>(),
        flags in any::<u16>(),
        bytes in any::<[u8; 7]>(),
        addresses in any::<[[u8; 16]; 2]>(),
        family in prop_oneof![Just(0_u16), Just(2), Just(10), any::<u16>()],
        algorithm in any::<[u8; 16]>(),
    ) -> Raw {
        let mut raw = Raw {
            time_ns: times[0], started_ns: times[1], established_ns: times[2], since_ns: times[3],
            weight: words[0].max(1), netns: words[1], ifindex: words[2], reason: words[3], error: words[4],
            sequence: words[5], length: words[6], segments: words[7], flags,
            kind: bytes[0] % 6, detail: bytes[1], old_state: bytes[2], new_state: bytes[3], task_at: bytes[4],
            tcp_flags: bytes[5], ..Raw::default()
        };
        raw.socket.family = family;
        raw.socket.kind = bytes[6] % 4;
        (raw.socket.local, raw.socket.remote) = (addresses[0], addresses[1]);
        raw.numbers.algorithm = algorithm;
        raw.numbers.srtt_us = words[0];
        raw.numbers.rate_delivered = words[1];
        raw.numbers.rate_interval_us = words[2];
        raw.numbers.mss = words[3];
        raw
    }
}

proptest! {
    /// Whatever the kernel says, the lines are within the schema and say the same.
    #[test]
    fn every_event_is_within_the_schema(raw in any_raw()) {
        let mut enricher = Enricher::new("/nowhere", Reasons::built_in("6.18"));
        let event = enricher.tcp(&raw, |number| Some(format!("R{number}").into()), &mut Nothing).unwrap();
        let value: Value = serde_json::from_str(&line(&event)).unwrap();
        prop_assert_eq!(&value["weight"], raw.weight);
        let address = |side: &str| value.get(side)?.get("address")?.as_str()?.parse::<IpAddr>().ok();
        prop_assert_eq!(address("local"), event.local.map(|local| local.address));
        prop_assert_eq!(address("remote"), event.remote.map(|remote| remote.address));
        prop_assert_eq!(value.get("tcp").is_some(), event.numbers.is_some());
        if let Some(numbers) = event.numbers {
            prop_assert_eq!(value["tcp"].get("srtt_us").map_or(0, |us| us.as_u64().unwrap()), u64::from(numbers.srtt_us));
        }
    }

    /// Histograms come back as they were.
    #[test]
    fn every_histogram_is_within_the_schema(
        times in prop::collection::vec(any::<u32>(), 1..40), port in any::<Option<u16>>(), sampled in any::<bool>(),
    ) {
        let row = RttRow { remote_port: port, ..rtt(if sampled { RttWhat::Sample } else { RttWhat::Smoothed }, &times) };
        let tcp = TcpSummary { rtt: vec![row], ..TcpSummary::default() };
        let lines = written(|out| Json::new().end(&Summary { tcp: Some(Arc::new(tcp)), ..Summary::default() }, out));
        validate(&lines);
        let value: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        prop_assert_eq!(&value["count"], times.len() as u64);
        let mut buckets = [0; RTT_BUCKETS];
        for bucket in value["buckets"].as_array().unwrap() {
            let from = u32::try_from(bucket[0].as_u64().unwrap()).unwrap();
            buckets[rtt_bucket(from)] = bucket[2].as_u64().unwrap();
        }
        let mut expected = [0; RTT_BUCKETS];
        for time in &times {
            expected[rtt_bucket(*time)] += 1;
        }
        prop_assert_eq!(buckets, expected);
        prop_assert_eq!(value["remote"].get("port").and_then(Value::as_u64), port.map(u64::from));
    }
}

#[test]
fn who_opened_it_is_told() {
    let mut event = retransmitted();
    event.connection.opened = Some(Opened::Passive);
    assert!(line(&event).contains(r#""opened":"passive""#));
}

#[test]
fn queues_stand_in_the_end_alone() {
    use crate::model::tcp::{Depth, ListenerRow, NetnsPorts, PortPressure, TcpQueues};
    let netns = samples::netns(7, "web");
    let mut accept = Depth::default();
    for waiting in [0, 3, 130] {
        accept.add(waiting, waiting > 128);
    }
    let listener = ListenerRow {
        netns: Arc::clone(&netns),
        local: "[::]:80".parse().unwrap(),
        sockets: 2,
        inode: 4711,
        owner: None,
        limit: 128,
        accept,
        syn: Depth::default(),
        is_open: false,
    };
    let port = PortPressure {
        netns: Arc::clone(&netns),
        local: [10, 0, 0, 1].into(),
        remote: endpoint("10.0.0.2:80"),
        used: 28_000,
        time_wait: 27_000,
        available: 28_232,
    };
    let namespace = NetnsPorts {
        netns,
        time_wait: Some((27_000, 27_500)),
        time_wait_limit: None,
        range: Some((32_768, 60_999)),
        reserved: 0,
        samples: [10, 10, 1],
        failed: Some("it is gone".into()),
    };
    let queues = TcpQueues { listeners: vec![listener], pressure: vec![port], namespaces: vec![namespace] };
    for queues in [queues, TcpQueues::default()] {
        let tcp = TcpSummary { queues: Some(Arc::new(queues)), ..TcpSummary::default() };
        let interval = written(|out| Json::new().summary(&summary(tcp.clone()), out));
        assert!(!interval.contains("queues"), "{interval}");
        let end = written(|out| Json::new().end(&summary(tcp), out));
        validate(&end);
        assert_snapshot!(&end[end.find(r#","queues""#).unwrap()..]);
    }
}
