use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use netdrop_common::tcp::TRANSITION_BUCKETS;
use netdrop_common::tcp_state::{
    CLOSE, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, LISTEN, SYN_RECV, SYN_SENT,
};
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr as _;

use super::*;
use crate::model::Netns;
use crate::model::tcp::{
    CloseKind, Depth, ListenerRow, NetnsPorts, PortPressure, TcpAccounts, TcpQueues, TransitionRow,
};
use crate::output::samples::written;
use crate::tcp::samples::{self, endpoint};

fn row(from: u8, to: u8, count: u64, spent: &[(usize, u64)]) -> TransitionRow {
    let mut buckets = [0; TRANSITION_BUCKETS];
    for (bucket, count) in spent {
        buckets[*bucket] = *count;
    }
    let sum: u64 = spent.iter().map(|(bucket, count)| (1 << bucket) * 3 / 4 * count).sum();
    let spent_sum = Duration::from_micros(sum);
    TransitionRow { from, to, count, total: count * 12, spent: buckets, spent_sum }
}

fn listener(local: &str, limit: u32, accept: &[u32], syn: &[u32]) -> ListenerRow {
    let depth = |waiting: &[u32]| {
        let mut depth = Depth::default();
        for waiting in waiting {
            depth.add(*waiting, *waiting > limit);
        }
        depth
    };
    ListenerRow {
        netns: Arc::new(Netns::default()),
        local: local.parse().unwrap(),
        sockets: 1,
        inode: 7,
        owner: None,
        limit,
        accept: depth(accept),
        syn: depth(syn),
        is_open: true,
    }
}

fn queues() -> TcpQueues {
    let netns = Arc::new(Netns::default());
    let gone = ListenerRow { is_open: false, sockets: 2, ..listener("[::]:8080", 4096, &[3, 0], &[0, 0]) };
    TcpQueues {
        listeners: vec![
            listener("0.0.0.0:80", 128, &[0, 5, 129, 129], &[0, 70, 128, 2]),
            gone,
            listener("127.0.0.1:25", 100, &[0], &[0]),
        ],
        pressure: vec![PortPressure {
            netns: Arc::clone(&netns),
            local: "10.0.0.1".parse().unwrap(),
            remote: endpoint("10.0.0.2:80"),
            used: 28_000,
            time_wait: 27_900,
            available: 28_222,
        }],
        namespaces: vec![NetnsPorts {
            netns,
            time_wait: Some((27_950, 28_100)),
            time_wait_limit: Some(32_768),
            range: Some((32_768, 60_999)),
            reserved: 10,
            samples: [120, 118, 12],
            failed: None,
        }],
    }
}

fn summary() -> Summary {
    let transitions = vec![
        row(CLOSE, SYN_SENT, 100, &[]),
        row(SYN_SENT, ESTABLISHED, 98, &[(8, 1000), (11, 150), (20, 26)]),
        row(ESTABLISHED, FIN_WAIT1, 90, &[(12, 500), (13, 400), (24, 180)]),
        row(FIN_WAIT1, FIN_WAIT2, 0, &[(9, 10)]),
        row(LISTEN, SYN_RECV, 1, &[]),
    ];
    let accounts = TcpAccounts { sampled_out: 200, seen: 289, ..samples::accounts(89) };
    let tcp = TcpSummary {
        transitions,
        accounts,
        total: TcpAccounts { recursion_misses: 2, ..accounts },
        queues: Some(Arc::new(queues())),
        ..TcpSummary::default()
    };
    samples::summary(tcp)
}

fn view(width: usize, height: usize) -> View {
    View { width, height, color: false }
}

fn text() -> Text {
    Text::new(false, Clock::new(jiff::tz::TimeZone::UTC, 6))
}

#[test]
fn in_80_columns() {
    assert_snapshot!("table_80", frame(&summary(), view(80, 24)));
}

#[test]
fn in_140_columns() {
    assert_snapshot!("table_140", frame(&summary(), view(140, 24)));
}

#[test]
fn on_a_low_terminal() {
    assert_snapshot!("table_low", frame(&summary(), view(80, 10)));
}

#[test]
fn nothing_yet() {
    let frame = frame(&samples::summary(TcpSummary::default()), view(80, 24));
    assert_eq!(frame, "no change of state yet (12 s); Ctrl-C ends\n");
}

#[test]
fn the_end() {
    assert_snapshot!("end", closing(&summary(), view(100, 24)).join("\n"));
    assert_eq!(
        closing(&samples::summary(TcpSummary::default()), view(80, 24)),
        ["No change of state in 12 s."]
    );
}

#[test]
fn in_a_pipe() {
    let lines = written(|out| {
        let mut text = text();
        let spent = Some(Duration::from_micros(20_480));
        text.tcp(&samples::event(TcpKind::State { from: SYN_SENT, to: ESTABLISHED, spent }), out);
        let kind = CloseKind::Fin;
        let mut close = samples::event(TcpKind::Close { kind, from: LAST_ACK, error: None });
        (close.owner, close.weight, close.remote) = (None, 12, None);
        text.tcp(&close, out);
        text.tcp(&samples::event(TcpKind::ResetReceived { state: ESTABLISHED }), out);
        text.summary(&summary(), out);
        text.summary(&samples::summary(TcpSummary::default()), out);
        text.end(&summary(), out);
    });
    assert_snapshot!("text", lines);
}

#[test]
fn several_namespaces_are_named() {
    let mut seen = queues();
    let netns = Arc::new(Netns { inode: 1, name: Some("web".into()), ..Netns::default() });
    let failed = Some("can't enter the network namespace web".to_owned());
    let ports = NetnsPorts { netns, failed, time_wait: None, range: None, ..seen.namespaces[0].clone() };
    seen.namespaces.push(ports);
    let lines = lines::queues(&seen, view(120, 24), 9).join("\n");
    assert!(lines.contains("web: can't enter the network namespace web"), "{lines}");
    assert!(lines.contains("NETNS"), "{lines}");
}

proptest! {
    #[test]
    fn a_frame_fits_its_terminal(width in 1_usize..200, height in 2_usize..40) {
        for summary in [summary(), samples::summary(TcpSummary::default())] {
            let frame = frame(&summary, view(width, height));
            prop_assert!(frame.lines().count() < height, "{frame}");
            for line in frame.lines() {
                prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
            }
        }
    }
}
