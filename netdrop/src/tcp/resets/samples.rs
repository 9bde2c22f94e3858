//! A run for tests: resets of each kind.

use netdrop_common::tcp::{TcpTotal, kind};

use super::super::samples::{accounts, endpoint, event, summary};
use crate::model::tcp::{HostCounts, Segment, TcpCount, TcpEvent, TcpKind, TcpSummary};
use crate::model::{Summary, TcpFlags};
use crate::output::{Output, samples};

/// A reset of this reason and state that answers a packet with these flags.
pub fn sent(reason: Option<&str>, state: Option<u8>, answers: Option<u8>) -> TcpEvent {
    let segment = |flags| Segment { sequence: 5, length: 0, segments: 1, flags: TcpFlags(flags) };
    event(TcpKind::ResetSent { reason: reason.map(Into::into), state, answers: answers.map(segment) })
}

pub fn told() -> Summary {
    let count = |kind, detail, events| {
        let total = TcpTotal { events, ..TcpTotal::default() };
        TcpCount { kind, detail, counts: total, total }
    };
    let host = HostCounts { resets_out: 9, ..HostCounts::default() };
    let tcp = TcpSummary {
        accounts: accounts(8),
        total: accounts(8),
        counts: vec![
            count(kind::RESET_SENT, 1, 3),
            count(kind::RESET_SENT, 11, 1),
            count(kind::RESET_SENT, 31, 2),
            count(kind::RESET_RECEIVED, 2, 2),
        ],
        host,
        host_total: host,
        ..TcpSummary::default()
    };
    summary(tcp)
}

/// Events and a summary, given to a format.
pub fn run(output: &mut dyn Output, out: &mut Vec<u8>) {
    let closed_port = TcpEvent {
        local: Some(endpoint("10.0.0.1:81")),
        remote: Some(endpoint("10.0.0.2:4242")),
        socket: None,
        owner: None,
        numbers: None,
        netns: Some(samples::netns(2, "web")),
        weight: 3,
        ..sent(Some("NO_SOCKET"), None, Some(0x02))
    };
    output.tcp(&closed_port, out);
    output.tcp(&sent(Some("TCP_ABORT_ON_CLOSE"), Some(7), None), out);
    output.tcp(&sent(None, Some(7), None), out);
    output.tcp(&sent(None, Some(1), None), out);
    output.tcp(&event(TcpKind::ResetReceived { state: 2 }), out);
    output.tcp(&event(TcpKind::ResetReceived { state: 1 }), out);
    output.tcp(&event(TcpKind::State { from: 1, to: 8, spent: None }), out);
    output.summary(&told(), out);
}
