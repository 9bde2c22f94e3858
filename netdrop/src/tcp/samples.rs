//! Events for tests.

use std::sync::Arc;
use std::time::Duration;

use netdrop_common::tcp::{TRANSITION_BUCKETS, kind, retransmit as by, rtt_bucket};

use crate::model::tcp::{
    CloseKind, Closes, Connection, Histogram, HostCounts, KnownBy, Opened, Retransmit, RttRow, RttWhat,
    Segment, TcpAccounts, TcpCount, TcpEvent, TcpKind, TcpNumbers, TcpOwner, TcpSummary, TcpTotal,
    TransitionRow,
};
use crate::model::{
    Endpoint, Holding, Owner, Process, Queues, Socket, SocketKind, Summary, TcpFlags, Timestamp, Whose,
};

pub fn endpoint(text: &str) -> Endpoint {
    let address: std::net::SocketAddr = text.parse().unwrap();
    Endpoint { address: address.ip(), port: Some(address.port()) }
}

/// A connection of curl's to 10.0.0.2:80, a second and a half old.
pub fn event(kind: TcpKind) -> TcpEvent {
    let (local, remote) = (endpoint("10.0.0.1:45678"), endpoint("10.0.0.2:80"));
    TcpEvent {
        time: Timestamp(1_795_340_625_123_456_000),
        weight: 1,
        kind,
        local: Some(local),
        remote: Some(remote),
        v4_mapped: false,
        netns: None,
        device: None,
        socket: Some(socket(local, remote)),
        owner: Some(TcpOwner { owner: Arc::new(curl()), by: KnownBy::Connect }),
        connection: Connection {
            known_since_birth: true,
            opened: Some(Opened::Active),
            age: Some(Duration::from_millis(1500)),
            established: Some(Duration::from_millis(1480)),
            ..Connection::default()
        },
        numbers: Some(numbers()),
        cpu: 1,
    }
}

/// A segment of a sender that has seen worse, sent again.
pub fn retransmit(by: Retransmit) -> TcpEvent {
    let segment = Segment { sequence: 123_456, length: 1448, segments: 1, flags: TcpFlags(0x10) };
    event(TcpKind::Retransmit { by, segment, attempt: 1, state: 1, failed: None })
}

fn socket(local: Endpoint, remote: Endpoint) -> Socket {
    Socket {
        whose: Whose::Packet,
        kind: SocketKind::Full,
        family: netdrop_common::AF_INET,
        protocol: 6,
        state: 1,
        local: Some(local),
        remote: Some(remote),
        queues: Some(Queues {
            receive: 0,
            receive_limit: 131_072,
            send: 4352,
            send_limit: 87_040,
            backlog: 0,
            accept: None,
            drops: 0,
        }),
        inode: Some(4711),
        cookie: Some(0x1001),
        cgroup: None,
    }
}

fn curl() -> Owner {
    let process = Process { pid: 4242, command: "curl".into(), holding: Holding::Open };
    Owner { processes: vec![process], ..Owner::default() }
}

fn numbers() -> TcpNumbers {
    let mut algorithm = [0; 16];
    algorithm[..5].copy_from_slice(b"cubic");
    TcpNumbers {
        bytes_sent: 4420,
        bytes_retransmitted: 2896,
        bytes_acked: 1525,
        bytes_received: 100_001,
        segments_in: 80,
        segments_out: 44,
        data_segments_in: 70,
        data_segments_out: 5,
        retransmits: 2,
        lost: 2,
        cwnd: 10,
        ssthresh: 7,
        srtt_us: 20_480,
        rttvar_us: 4096,
        min_rtt_us: 19_800,
        rtt_us: 20_100,
        mss: 1448,
        rate_delivered: 10,
        rate_interval_us: 20_000,
        send_window: 65_536,
        receive_window: 131_072,
        reordering: 3,
        ca_state: 4,
        timeouts: 1,
        algorithm,
        ..TcpNumbers::default()
    }
}

/// A second of which this was counted.
pub fn summary(tcp: TcpSummary) -> Summary {
    Summary {
        time: Timestamp(1_795_340_626_000_000_000),
        interval: Duration::from_secs(1),
        elapsed: Duration::from_secs(12),
        tcp: Some(Arc::new(tcp)),
        ..Summary::default()
    }
}

/// Accounts of so many events, all in detail.
pub fn accounts(seen: u64) -> TcpAccounts {
    TcpAccounts { seen, detailed: seen, ..TcpAccounts::default() }
}

/// So many events of a kind and detail.
pub fn count(kind: u8, detail: u8, events: u64) -> TcpCount {
    let counts = TcpTotal { events, ..TcpTotal::default() };
    TcpCount { kind, detail, counts, total: counts }
}

/// These times, not told apart by anything.
pub fn rtt(what: RttWhat, times: &[u32]) -> RttRow {
    let mut row = RttRow {
        what,
        others: false,
        local: None,
        local_port: None,
        remote: None,
        remote_port: None,
        gateway: None,
        device: None,
        netns: None,
        owner: None,
        interval: Histogram::default(),
        total: Histogram::default(),
    };
    for time in times {
        row.total.buckets[rtt_bucket(*time)] += 1;
        row.total.sum_us += u64::from(*time);
    }
    row.interval = row.total.clone();
    row
}

/// Something of everything.
pub fn counted() -> TcpSummary {
    let mut spent = [0; TRANSITION_BUCKETS];
    (spent[0], spent[11]) = (1, 2);
    let retransmits = TcpTotal { events: 7, bytes: 10_136, segments: 8, ..TcpTotal::default() };
    let remote = RttRow {
        remote: Some(Endpoint { port: None, ..endpoint("10.0.0.2:1") }),
        local_port: Some(80),
        ..rtt(RttWhat::Sample, &[20_000, 21_000, 150])
    };
    let mut closes = Closes::default();
    closes.count(CloseKind::Fin, 1);
    closes.count(CloseKind::ResetSent, 1);
    TcpSummary {
        accounts: accounts(16),
        total: accounts(16),
        counts: vec![
            TcpCount { counts: retransmits, ..count(kind::RETRANSMIT, by::RTO, 7) },
            count(kind::RETRANSMIT, by::FAST + 16, 1),
            count(kind::RETRANSMIT_SYN_ACK, by::SYN_ACK, 2),
            count(kind::RESET_SENT, 1, 2),
            count(kind::RESET_SENT, 31, 1),
            count(kind::RESET_RECEIVED, 1, 1),
            count(kind::STATE, 1, 0),
            count(kind::CLOSE, 9, 2),
        ],
        transitions: vec![
            TransitionRow { from: 2, to: 1, count: 3, total: 3, spent, spent_sum: Duration::from_millis(3) },
            TransitionRow { from: 1, to: 4, count: 0, total: 3, spent, spent_sum: Duration::from_millis(3) },
        ],
        rtt: vec![
            remote,
            RttRow { others: true, ..rtt(RttWhat::Smoothed, &[3]) },
            rtt(RttWhat::Smoothed, &[]),
        ],
        host: HostCounts {
            segments_out: 4200,
            segments_retransmitted: 8,
            resets_out: 4,
            ..HostCounts::default()
        },
        closes,
        closes_total: closes,
        existed: Some(12),
        reset_reasons: ["NOT_SPECIFIED", "NO_SOCKET"].map(Arc::from).into(),
        ..TcpSummary::default()
    }
}
