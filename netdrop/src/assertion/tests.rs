//! Expressions on a run in which a flood, a full listen queue and a firewall dropped.

use proptest::prelude::*;
use rstest::rstest;

use std::sync::Arc;

use netdrop_common::tcp::kind;

use super::{Assertion, AssertionError};
use crate::model::Summary;
use crate::model::tcp::{HostCounts, TcpCount, TcpSummary, TcpTotal};
use crate::output::samples;

fn holds(text: &str) -> bool {
    let assertion: Assertion = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    assertion.evaluate(&samples::end()).holds
}

fn with_tcp() -> Summary {
    let mut tcp = TcpSummary {
        host: HostCounts { segments_out: 4000, segments_retransmitted: 30, ..HostCounts::default() },
        ..TcpSummary::default()
    };
    for (kind, detail, events) in [
        (kind::RETRANSMIT, 1, 20),
        (kind::RETRANSMIT, 17, 100),
        (kind::RETRANSMIT_SYN_ACK, 5, 2),
        (kind::RESET_SENT, 1, 3),
        (kind::RESET_RECEIVED, 1, 4),
    ] {
        let counts = TcpTotal { events, ..TcpTotal::default() };
        tcp.counts.push(TcpCount { kind, detail, counts, total: counts });
    }
    Summary { tcp: Some(Arc::new(tcp)), ..samples::end() }
}

/// Failed ones are no retransmits; the ratio is the kernel's own.
#[rstest]
#[case("retransmits", true, "22 TCP retransmits")]
#[case("retransmits>22", false, "22 TCP retransmits")]
#[case("retransmits>1/s", true, "22 TCP retransmits (1.83/s)")]
#[case("retransmit-ratio>0.7%", true, "0.75% of 4,000 segments sent again")]
#[case("retransmit-ratio>1%", false, "0.75% of 4,000 segments sent again")]
#[case(
    "resets>6 and drops",
    true,
    "7 TCP resets; 4,894,461 drops, most of them NO_SOCKET at __udp4_lib_rcv (4,894,120)"
)]
fn a_run_with_tcp(#[case] text: &str, #[case] expected: bool, #[case] why: &str) {
    let assertion: Assertion = text.parse().unwrap();
    assert!(assertion.needs_tcp());
    let verdict = assertion.evaluate(&with_tcp());
    assert_eq!((verdict.holds, verdict.why.as_str()), (expected, why));
}

#[rstest]
#[case(
    "retransmit-ratio>1",
    "retransmit-ratio is a part of all segments: write per cent, as in retransmit-ratio>1%"
)]
#[case("resets>1%", "resets is a number, no part of anything: leave out %")]
#[case("retransmit-ratio>%", "at 18: % is no number; write one as in 10, 5k, 100/s")]
#[case("retransmit-ratio>1.1.1%", "at 18: 1.1.1% is no number; write one as in 10, 5k, 100/s")]
fn what_a_part_is_not(#[case] text: &str, #[case] error: &str) {
    assert_eq!(text.parse::<Assertion>().unwrap_err().to_string(), error);
}

#[test]
fn without_tcp_nothing_of_it_holds() {
    let assertion: Assertion = "retransmits or retransmit-ratio>0%".parse().unwrap();
    let verdict = assertion.evaluate(&samples::end());
    assert_eq!((verdict.holds, verdict.why.as_str()), (false, "TCP was not followed"));
    assert!(!"drops".parse::<Assertion>().unwrap().needs_tcp());
}

#[rstest]
#[case("class=congestion", true)]
#[case("class=routing", false)]
#[case("reason=NETFILTER_DROP", true)]
#[case("reason=netfilter_drop>0", true)]
#[case("reason=NETFILTER_DROP>1", false)]
#[case("reason=NETFILTER_DROP >= 1", true)]
#[case("function=tcp_conn_request", true)]
#[case("function=tcp_*>339", true)]
#[case("function=tcp_*>340", false)]
#[case("device=eth0,class=congestion>100", true)]
#[case("device=lo,class=congestion", false)]
#[case("class!=no-receiver==341", true)]
#[case("netns=web", true)]
#[case("netns=4026532001", true)]
#[case("proto=icmp<2", true)]
#[case("drops>4M", true)]
#[case("drops==4894461", true)]
#[case("rate>400k", true)]
#[case("rate>500k/s", false)]
#[case("drops<500k/s", true)]
#[case("bytes>100M", true)]
#[case("lost", true)]
#[case("lost>10k", false)]
#[case("class=routing or class=policy", true)]
#[case("class=routing and class=policy", false)]
#[case("class=routing || class=policy && lost", true)]
#[case("(class=policy or class=routing) and lost>10k", false)]
#[case("class=policy or class=routing and lost>10k", true)]
fn a_run(#[case] text: &str, #[case] expected: bool) {
    assert_eq!(holds(text), expected);
}

#[rstest]
#[case(
    "class=congestion",
    "340 drops, class congestion, most of them TCP_LISTEN_OVERFLOW at tcp_conn_request (340)"
)]
#[case("class=routing", "0 drops, class routing")]
#[case(
    "class=routing or reason=NETFILTER_DROP",
    "1 drops, reason NETFILTER_DROP, most of them NETFILTER_DROP at nft_do_chain_inet_with_a_long_name (1)"
)]
#[case(
    "rate>1/s and class!=policy,device!=lo",
    "4,894,461 drops (408 k/s), most of them NO_SOCKET at __udp4_lib_rcv (4,894,120); 340 drops, not class policy, not device lo, most of them TCP_LISTEN_OVERFLOW at tcp_conn_request (340)"
)]
#[case("lost>0", "415 details or drops lost")]
fn why(#[case] text: &str, #[case] sentence: &str) {
    assert_eq!(text.parse::<Assertion>().unwrap().evaluate(&samples::end()).why, sentence);
}

#[rstest]
#[case("", "at 1: the end, where drops, rate, bytes, lost, retransmits, retransmit-ratio, resets, or class=")]
#[case("class", "at 6: the end, where = or != is expected")]
#[case("class=", "at 7: the end, where a name is expected")]
#[case("color=red", "at 1: color, where drops,")]
#[case("class=kongestion", "there is no class `kongestion`")]
#[case("reason=NETFILTER_DRIP", "no kernel has a drop reason NETFILTER_DRIP; did you mean NETFILTER_DROP?")]
#[case("drops>", "at 7: the end, where a number is expected")]
#[case("drops>ten", "at 7: ten is no number")]
#[case("drops>99999999999999999999", "at 7: 99999999999999999999 is no number")]
#[case("drops>1 lost", "at 9: lost, where and, or, or the end is expected")]
#[case("(drops", "at 7: the end, where a closing parenthesis is expected")]
#[case("lost>1/s", "lost is not a rate")]
#[case("drops>é", "at 7: é is no number")]
fn what_makes_no_sense_is_refused(#[case] text: &str, #[case] message: &str) {
    let error = text.parse::<Assertion>().unwrap_err().to_string();
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| "(".repeat(depth) + "drops" + &")".repeat(depth);
    assert!(nested(32).parse::<Assertion>().is_ok());
    assert!(matches!(nested(100_000).parse::<Assertion>(), Err(AssertionError::TooDeep { position: 32 })));
}

/// An expression as text, and whether it holds, by the tests that it is made of.
fn expression() -> impl Strategy<Value = (String, bool)> {
    let test = prop::sample::select(vec![
        ("class=policy", true),
        ("class=routing", false),
        ("reason=NO_SOCKET>4M", true),
        ("drops<1k", false),
        ("device=eth*", true),
        ("lost==0", false),
    ]);
    let leaf = test.prop_map(|(text, holds)| (text.to_owned(), holds));
    leaf.prop_recursive(4, 24, 3, |inner| {
        let parts = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            parts().prop_map(|parts| join(&parts, " and ", parts.iter().all(|(_, holds)| *holds))),
            parts().prop_map(|parts| join(&parts, " || ", parts.iter().any(|(_, holds)| *holds))),
        ]
    })
}

fn join(parts: &[(String, bool)], word: &str, holds: bool) -> (String, bool) {
    let texts: Vec<String> = parts.iter().map(|(text, _)| format!("({text})")).collect();
    (texts.join(word), holds)
}

proptest! {
    #[test]
    fn and_or_and_parentheses_mean_what_they_say((text, expected) in expression()) {
        prop_assert_eq!(holds(&text), expected, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
        let _ = text.parse::<Assertion>();
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(
        prop::sample::select(vec!["class", "=", "!=", "reason", "drops", ">", "(", ")", ",", "and", "||", "1/s", "*", " ", "lost"]), 0..20,
    )) {
        if let Ok(assertion) = words.concat().parse::<Assertion>() {
            assertion.evaluate(&samples::end());
        }
    }
}
