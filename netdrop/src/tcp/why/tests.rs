use insta::assert_snapshot;
use rstest::rstest;

use super::super::samples::{endpoint, event, retransmit};
use super::*;
use crate::model::tcp::TcpNumbers;
use crate::model::{Gso, Packet};
use crate::output::samples::{self, Parts, TCP as TCP_OF_IPV4};

const LOCAL: &str = "10.0.0.1:45678";
const REMOTE: &str = "10.0.0.2:80";

/// A drop of a packet from one end to the other.
fn parts(from: &str, to: &str, function: &str, reason: &str, class: Class) -> Parts {
    let packet = Packet {
        source: Some(endpoint(from)),
        destination: Some(endpoint(to)),
        protocol: TCP_OF_IPV4,
        ..Packet::default()
    };
    let mut parts = samples::udp();
    let address = 0xffff_ffff_8100_0000 + function.len() as u64;
    parts.site = Arc::new(crate::model::Site { address, ..(*samples::site(function, 0x12)).clone() });
    parts.reason = Some(samples::reason(reason, class));
    parts.netns = Some(samples::netns(2, "server"));
    parts.packet = packet;
    parts
}

fn backlog() -> Parts {
    parts(LOCAL, REMOTE, "tcp_v4_rcv", "SOCKET_BACKLOG", Class::Congestion)
}

fn in_netns(event: TcpEvent) -> TcpEvent {
    TcpEvent { netns: Some(samples::netns(1, "client")), ..event }
}

/// `count` retransmits and what was seen of drops.
fn why(by: Retransmit, count: u32, drops: &[(&Parts, u64)]) -> Why {
    let mut why = Why::default();
    for (parts, weight) in drops {
        why.drop(&parts.drop(*weight));
    }
    for _ in 0..count {
        why.retransmit(&in_netns(retransmit(by)));
    }
    why
}

fn sentence(why: &Why) -> String {
    let stories = why.stories(true);
    assert_eq!(stories.len(), 1);
    stories[0].sentence()
}

#[test]
fn a_drop_for_each_retransmit_explains_them() {
    let backlog = backlog();
    let story = why(Retransmit::Rto, 12, &[(&backlog, 1); 12]);
    assert_snapshot!(sentence(&story), @"12 retransmits, 12 drops at tcp_v4_rcv (SOCKET_BACKLOG) on this host in netns server");
    let story = &story.stories(true)[0];
    assert_eq!((story.because, story.hint()), (Because::DroppedHere, Some("SOCKET_BACKLOG")));
}

#[test]
fn fewer_drops_explain_fewer() {
    let backlog = backlog();
    let story = why(Retransmit::Fast, 12, &[(&backlog, 1); 3]);
    assert_snapshot!(sentence(&story), @"12 retransmits, but only 3 drops at tcp_v4_rcv (SOCKET_BACKLOG) on this host in netns server: 3 of 12 explained");
}

#[test]
fn sampled_drops_are_about() {
    let backlog = backlog();
    let story = why(Retransmit::Fast, 5, &[(&backlog, 7)]);
    assert_snapshot!(sentence(&story), @"5 retransmits, ~7 drops at tcp_v4_rcv (SOCKET_BACKLOG) on this host in netns server");
}

#[test]
fn several_places_are_told_apart() {
    let there = backlog();
    let mut back = parts(REMOTE, LOCAL, "nft_do_chain", "NETFILTER_DROP", Class::Policy);
    back.netns = Some(samples::netns(1, "client"));
    let more = parts(LOCAL, REMOTE, "fq_codel_enqueue", "QDISC_OVERLIMIT", Class::Congestion);
    let story = why(
        Retransmit::Fast,
        5,
        &[(&there, 1), (&there, 1), (&there, 1), (&back, 1), (&back, 1), (&more, 1)],
    );
    assert_snapshot!(sentence(&story), @"5 retransmits, 6 drops on this host: 3 at tcp_v4_rcv (SOCKET_BACKLOG) in netns server, 2 at nft_do_chain (NETFILTER_DROP), and 1 more places");
}

#[test]
fn drops_of_what_the_peer_sends_are_told_as_such() {
    let back = parts(REMOTE, LOCAL, "nft_do_chain", "NETFILTER_DROP", Class::Policy);
    let story = why(Retransmit::Rto, 1, &[(&back, 1)]);
    assert_snapshot!(sentence(&story), @"1 retransmit, 1 drop of the peer's packets at nft_do_chain (NETFILTER_DROP) on this host in netns server");
}

/// The last column is what `because` tells programs.
#[rstest]
#[case(Retransmit::Rto, "2 retransmits, no drop on this host: lost beyond it", "lost-beyond-this-host")]
#[case(
    Retransmit::Syn,
    "2 retransmits, the peer doesn't answer the SYN (it is away, or its accept queue is full); no drop on this host",
    "no-answer-to-syn"
)]
#[case(
    Retransmit::SynAck,
    "2 retransmits, the peer doesn't answer the SYN-ACK; no drop on this host",
    "no-answer-to-syn-ack"
)]
#[case(
    Retransmit::LossProbe,
    "2 retransmits, tail loss probes alone: nothing shows that anything was lost; no drop on this host",
    "loss-probes"
)]
fn without_drops(#[case] by: Retransmit, #[case] text: &str, #[case] because: &str) {
    let story = why(by, 2, &[]);
    assert_eq!(sentence(&story), text);
    assert_eq!(story.stories(true)[0].because.as_str(), because);
    assert_eq!(story.stories(true)[0].hint(), None);
}

#[test]
fn what_was_sampled_out_may_have_been_it() {
    let story = why(Retransmit::Rto, 1, &[]);
    assert_snapshot!(story.stories(false)[0].sentence(), @"1 retransmit, no drop on this host among those told in detail: lost beyond it");
}

#[test]
fn a_probe_of_a_closed_window_is_no_loss_where_it_is_dropped() {
    let probe = parts(LOCAL, REMOTE, "tcp_validate_incoming", "TCP_OLD_SEQUENCE", Class::Malformed);
    assert_eq!(why(Retransmit::LossProbe, 1, &[(&probe, 5)]).stories(true)[0].because, Because::LossProbes);
}

#[test]
fn what_a_connection_in_time_wait_took_in_is_no_loss() {
    let last = parts(REMOTE, LOCAL, "tcp_v4_rcv", "NOT_SPECIFIED", Class::Unknown);
    assert_eq!(why(Retransmit::Rto, 1, &[(&last, 1)]).stories(true)[0].because, Because::LostBeyond);
    let unknown = parts(REMOTE, LOCAL, "a_driver_xmit", "NOT_SPECIFIED", Class::Unknown);
    let story = why(Retransmit::Rto, 1, &[(&unknown, 1)]);
    assert_eq!(story.stories(true)[0].hint(), Some("a_driver_xmit"));
}

/// A closing socket's queue, a duplicate: nothing is missing after it.
#[test]
fn lifecycle_drops_explain_nothing_but_a_duplicate_tells_that_it_was_in_vain() {
    let purged = parts(LOCAL, REMOTE, "skb_queue_purge", "QUEUE_PURGE", Class::Lifecycle);
    assert_snapshot!(sentence(&why(Retransmit::Rto, 1, &[(&purged, 1)])), @"1 retransmit, no drop on this host: lost beyond it");
    let old = parts(LOCAL, REMOTE, "tcp_data_queue", "TCP_OLD_DATA", Class::Lifecycle);
    assert_snapshot!(sentence(&why(Retransmit::Rto, 1, &[(&old, 1)])), @"1 retransmit, sent in vain: the peer, on this host too, had the data already (1 drop as TCP_OLD_DATA)");
}

#[test]
fn a_closed_window_is_no_loss() {
    let mut why = Why::default();
    let shut = TcpNumbers { send_window: 0, ..event(TcpKind::ResetReceived { state: 1 }).numbers.unwrap() };
    why.retransmit(&TcpEvent { numbers: Some(shut), ..retransmit(Retransmit::Rto) });
    assert_snapshot!(sentence(&why), @"1 retransmit, the peer's window is zero: its program doesn't read");
    // The window of a connection that isn't open yet is zero by nature.
    let mut why = Why::default();
    why.retransmit(&TcpEvent { numbers: Some(shut), ..retransmit(Retransmit::Syn) });
    assert_eq!(why.stories(true)[0].because, Because::NoAnswerToSyn);
}

#[test]
fn what_could_not_be_sent_is_no_retransmit() {
    let mut failed = retransmit(Retransmit::Rto);
    let TcpKind::Retransmit { failed: errno, .. } = &mut failed.kind else { unreachable!() };
    *errno = Some(105);
    let mut why = why(Retransmit::Rto, 0, &[]);
    why.retransmit(&in_netns(failed.clone()));
    assert_snapshot!(sentence(&why), @"1 failed attempt, the segments couldn't leave this host; no drop on this host");
    why.retransmit(&in_netns(retransmit(Retransmit::Rto)));
    assert_snapshot!(sentence(&why), @"1 retransmit and 1 that failed, no drop on this host: lost beyond it");
}

/// One skb of offloads stands for many segments of the wire.
#[test]
fn a_dropped_packet_of_offloads_explains_each_of_its_segments() {
    let mut big = backlog();
    big.packet.gso = Some(Gso { size: 1448, segments: 10 });
    assert_eq!(why(Retransmit::Fast, 10, &[(&big, 1)]).stories(true)[0].because, Because::DroppedHere);
}

/// The drops of others, of other protocols, and of fragments are nobody's.
#[test]
fn only_packets_between_the_two_ends_count() {
    let other = parts(LOCAL, "10.0.0.2:81", "tcp_v4_rcv", "SOCKET_BACKLOG", Class::Congestion);
    let mut fragment = backlog();
    fragment.packet.source.as_mut().unwrap().port = None;
    let mut datagram = backlog();
    datagram.packet.protocol = samples::UDP;
    let story = why(Retransmit::Rto, 1, &[(&other, 1), (&fragment, 1), (&datagram, 1)]);
    assert_eq!(story.stories(true)[0].because, Because::LostBeyond);
}

#[test]
fn both_tables_are_bounded_and_keep_what_belongs_together() {
    let mut why = Why::default();
    let kept = backlog();
    why.drop(&kept.drop(1));
    why.retransmit(&in_netns(retransmit(Retransmit::Rto)));
    for port in 0..20_000_u16 {
        let one = format!("10.0.0.1:{port}");
        why.drop(&parts(&one, REMOTE, "tcp_v4_rcv", "SOCKET_BACKLOG", Class::Congestion).drop(1));
        why.retransmit(&TcpEvent { local: Some(endpoint(&one)), ..retransmit(Retransmit::Rto) });
    }
    assert!(why.flows.len() <= FLOWS && why.drops.len() <= PAIRS);
    let flow = Flow { local: endpoint(LOCAL), remote: endpoint(REMOTE), netns: 1 };
    assert_eq!(why.story(&flow, true).unwrap().because, Because::DroppedHere);
    why.turn();
    why.turn();
    assert!(why.flows.is_empty());
}
