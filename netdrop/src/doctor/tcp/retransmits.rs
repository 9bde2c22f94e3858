//! `tcp-retransmits`: how much of what TCP sends it sends again (`tcp_retransmit_skb`, `net/ipv4/tcp_output.c`): loss on the way, or
//! acknowledgements that come late.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Connections, rise, risen};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-retransmits",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<Connections>()],
    run,
};

/// Less than so many are what any path loses.
const FEW: u64 = 10;
/// One in a hundred: over 50 ms, a connection falls below 3 Mbit/s (Mathis et al., 1997).
const NOTICEABLE: u64 = 100;
/// One in twenty: the congestion window is hardly ever more than a few segments, and timeouts stop connections for a while.
const HEAVY: u64 = 20;
const HOW: [&str; 6] = [
    "TCPTimeouts",
    "TCPFastRetrans",
    "TCPSlowStartRetrans",
    "TCPLostRetransmit",
    "TCPSpuriousRTOs",
    "TCPDSACKRecv",
];
/// Where this host itself drops what it sends.
const OWN: [&str; 5] = ["QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "QDISC_BURST_DROP", "FULL_RING"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let again = window.delta("Tcp", "RetransSegs")?;
    let sent = window.delta("TcpExt", "TCPOrigDataSent")?;
    // SYNs that are sent again are told by `tcp-syn-retransmits`.
    let lost = again.by().saturating_sub(rise(window, "TcpExt", "TCPSynRetrans"));
    if lost < FEW || lost * NOTICEABLE < sent.by() {
        return Ok(Vec::new());
    }
    let severity = if lost * HEAVY < sent.by() { Severity::Warning } else { Severity::Critical };
    let share = lost.saturating_mul(1000) / sent.by().max(1);
    let sentence = format!(
        "{} sent again, of {} that carried data: {}.{} %.",
        counted(lost, "segment was", "segments were"),
        sent.by(),
        share / 10,
        share % 10
    );
    let (subject, evidence, is_one) = destination(window, lost);
    let spurious = rise(window, "TcpExt", "TCPDSACKRecv");
    let own = window.drops_of(&OWN);
    let (certainty, cause) = if !own.is_empty() {
        (Certainty::Likely, "This host itself drops what it sends, in the queue of a device.")
    } else if spurious * 2 >= lost {
        (
            Certainty::Likely,
            "Much of it was not lost, but came late or in another order: the peer tells of duplicates (DSACK).",
        )
    } else if is_one {
        (
            Certainty::Likely,
            "The way to that host loses them, or the host itself: others are hardly concerned.",
        )
    } else {
        (
            Certainty::Possible,
            "The ways to several hosts lose them: what they have in common is near, such as this host's port, cable, switch or uplink.",
        )
    };
    Ok(vec![
        Finding::new(severity, subject, sentence)
            .losing(window.rate(lost))
            .because(certainty, cause)
            .shown_by([again, sent])
            .shown_by(risen(window, &HOW))
            .shown_by(evidence)
            .shown_by(own)
            .remedy(Remedy::command(
                "See which connections it is, with their kind of loss.",
                "netdrop tcp retransmits --duration 10s",
            ))
            .remedy(Remedy::advice(
                "Look for the loss along the way: the counters of ports and the policers on both sides; mtr --tcp to the destination shows from where on.",
            ))
            .caution("What loses these segments is beyond TCP: no setting of TCP's mends it."),
    ])
}

/// Who most of them went to, of the connections that are still there.
fn destination(window: &Window, lost: u64) -> (String, Vec<Evidence>, bool) {
    let mut by_host: HashMap<IpAddr, u64> = HashMap::new();
    if let Ok((before, after)) = window.both::<Connections>() {
        let earlier = before.earlier();
        for one in &after.0.all {
            let Some(was) = earlier.was(one, |was| was.info.retransmitted) else { continue };
            let again = u64::from(one.info.retransmitted.saturating_sub(was));
            *by_host.entry(one.socket.remote.ip()).or_default() += again;
        }
    }
    let known: u64 = by_host.values().sum();
    let Some((host, most)) = by_host.into_iter().max_by_key(|(host, count)| (*count, *host)) else {
        return ("connections".into(), Vec::new(), false);
    };
    let evidence =
        Evidence::value(format!("sent again to {host}"), format!("{most} of {lost}"), Connections::FROM);
    // Half of all, and nearly all of those that are known.
    let is_one = most * 2 >= lost && most * 10 >= known * 8;
    let subject = if is_one { format!("connections to {host}") } else { "connections".into() };
    (subject, if most > 0 { vec![evidence] } else { Vec::new() }, is_one)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::counters::tcp_connections::tests::made as connection;
    use crate::doctor::made::Made;

    fn made(again: u64, syns: u64, sent: u64) -> Made {
        let counters = |again, syns, sent| {
            Counters::from([
                ("Tcp", "RetransSegs", again),
                ("TcpExt", "TCPSynRetrans", syns),
                ("TcpExt", "TCPOrigDataSent", sent),
                ("TcpExt", "TCPTimeouts", again / 10),
            ])
        };
        let mut lossy = connection("10.0.0.1:80", "192.0.2.7:40000", 7);
        let fine = connection("10.0.0.1:80", "192.0.2.8:40000", 8);
        let before = Connections(vec![lossy.clone(), fine.clone()].into());
        lossy.info.retransmitted = u32::try_from(again).unwrap();
        Made::default()
            .part(counters(0, 0, 0), counters(again, syns, sent))
            .part(before, Connections(vec![fine, lossy].into()))
    }

    #[test]
    fn one_host_loses_much() {
        assert_snapshot!(made(300, 0, 9000).told(&CHECK));
    }

    #[test]
    fn severity_goes_with_the_share() {
        assert_eq!(made(500, 0, 9000).check(&CHECK).unwrap()[0].severity, Severity::Critical);
        assert_eq!(made(80, 0, 9000).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(9, 0, 10).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(300, 295, 9000).check(&CHECK), Ok(Vec::new()));
    }
}
