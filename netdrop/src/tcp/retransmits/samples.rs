//! A run for tests: two flows of one host, drops of one of them, a namespace.

use netdrop_common::tcp::{TcpTotal, kind, retransmit as detail};

use super::super::samples::{endpoint, retransmit, summary};
use crate::knowledge::Class;
use crate::model::tcp::{HostCounts, Retransmit, TcpAccounts, TcpCount, TcpEvent, TcpSummary};
use crate::model::{Accounts, Packet, Summary};
use crate::output::Output;
use crate::output::samples;

fn count(kind: u8, detail: u8, events: u64) -> TcpCount {
    let total = TcpTotal { events, ..TcpTotal::default() };
    TcpCount { kind, detail, counts: total, total }
}

/// Of 12 retransmits 9 were told in detail, of which one stands for three.
pub fn told() -> Summary {
    let host = HostCounts { segments_out: 10_234, segments_retransmitted: 12, ..HostCounts::default() };
    let accounts = TcpAccounts { seen: 12, detailed: 9, sampled_out: 3, ..TcpAccounts::default() };
    let tcp = TcpSummary {
        accounts,
        total: accounts,
        counts: vec![
            count(kind::RETRANSMIT, detail::RTO, 6),
            count(kind::RETRANSMIT, detail::FAST, 4),
            count(kind::RETRANSMIT, detail::SYN, 1),
            count(kind::RETRANSMIT_SYN_ACK, detail::SYN_ACK, 1),
        ],
        host,
        host_total: host,
        ..TcpSummary::default()
    };
    let drops = Accounts { seen: 7, detailed: 7, ..Accounts::default() };
    Summary { accounts: drops, total: drops, ..summary(tcp) }
}

/// Events, drops and a summary, given to a format.
pub fn run(output: &mut dyn Output, out: &mut Vec<u8>) {
    let fast = TcpEvent {
        netns: Some(samples::netns(2, "web")),
        device: Some(samples::device(3, "eth0")),
        ..retransmit(Retransmit::Fast)
    };
    let to = |event: TcpEvent, remote: &str| TcpEvent { remote: Some(endpoint(remote)), ..event };
    for _ in 0..6 {
        drop_of(&fast, output, out);
        output.tcp(&fast, out);
    }
    output.tcp(&TcpEvent { weight: 3, ..to(retransmit(Retransmit::Rto), "10.0.0.3:443") }, out);
    output.tcp(&to(retransmit(Retransmit::Syn), "[2001:db8::2]:8443"), out);
    output.summary(&told(), out);
}

fn drop_of(event: &TcpEvent, output: &mut dyn Output, out: &mut Vec<u8>) {
    let mut parts = samples::udp();
    parts.site = samples::site("tcp_v4_rcv", 0x12);
    parts.reason = Some(samples::reason("SOCKET_BACKLOG", Class::Congestion));
    parts.packet = Packet {
        source: event.local,
        destination: event.remote,
        protocol: samples::TCP,
        ..Packet::default()
    };
    output.drop(&parts.drop(1), out);
}
