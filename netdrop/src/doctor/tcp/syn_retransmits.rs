//! `tcp-syn-retransmits`: SYNs or their answers that had to be sent again (`tcp_retransmit_skb`, `tcp_rtx_synack`,
//! `net/ipv4/tcp_output.c`): each costs a second and more before the first byte.

use super::{PortsInUse, rise, risen};
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "tcp-syn-retransmits",
    area: Area::Tcp,
    scope: Scope::Netns,
    needs: &[source::<Counters>(), source::<PortsInUse>()],
    run,
};

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let again = window.delta("TcpExt", "TCPSynRetrans")?;
    if again.by() == 0 {
        return Ok(Vec::new());
    }
    let ports = window.now::<PortsInUse>()?;
    let asking = ports.asking.iter().max_by_key(|(_, count)| **count);
    let asked = ports.asked.iter().max_by_key(|(_, count)| **count);
    let (active, passive) = (rise(window, "Tcp", "ActiveOpens"), rise(window, "Tcp", "PassiveOpens"));
    let counters = risen(window, &["TCPTimeouts", "ListenDrops", "SyncookiesSent"]);
    let count = again.by();
    // A handshake that this host refuses has findings of its own; what others lack is nothing worse for this one.
    let severity = Severity::of_loss(count, active + passive).min(Severity::Warning);
    let evidence = |name, of: Option<(&std::net::SocketAddr, &u32)>| {
        of.map(|(address, count)| {
            Evidence::value(name, format!("{count}, most at {address}"), PortsInUse::FROM)
        })
    };
    let rate = again.rate;
    let finding = |subject: String, sentence: String| {
        Finding::new(severity, subject, sentence)
            .losing(rate)
            .shown_by([again])
            .shown_by(counters)
            .shown_by(evidence("SYN_SENT", asking))
            .shown_by(evidence("SYN_RECV", asked))
    };
    Ok(vec![match (asking, asked) {
        (asking, Some((listener, _))) if asking.is_none_or(|_| passive > active) => finding(
            format!("listener {listener}"),
            format!("{} sent again; handshakes wait for clients that don't answer.", counted(count, "SYN or answer to one was", "SYNs or answers to SYNs were")),
        )
        .because(Certainty::Likely, "Answers of this host get lost on their way (a firewall, a route back that differs), or the clients' addresses are forged.")
        .remedy(Remedy::command("See who it is that doesn't answer.", "ss -tn state syn-recv").inside(window))
        .caution("Some clients that don't answer are scans: every public host has them."),
        (asking, _) => {
            let (subject, to) = asking.map_or(("destinations".into(), String::new()), |(to, _)| {
                (format!("destination {to}"), format!(", most of those that still wait to {to}"))
            });
            finding(subject, format!("{} sent again, as no answer came{to}.", counted(count, "SYN was", "SYNs were")))
                .because(Certainty::Possible, "The other host is down, a firewall drops SYNs there silently, or its accept queue is full.")
                .remedy(Remedy::command("See who doesn't answer.", "ss -tnp state syn-sent").inside(window))
                .remedy(Remedy::advice("Ask at that host: netdrop doctor --only tcp,netfilter tells whether it drops them."))
                .caution("Fewer tries (net.ipv4.tcp_syn_retries) make failures quicker, not rarer.")
        }
    }])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::doctor::made::Made;

    fn made(again: u64, asking: u32, asked: u32) -> Made {
        let counters =
            |again| Counters::from([("TcpExt", "TCPSynRetrans", again), ("Tcp", "ActiveOpens", 30)]);
        let some = |count: u32, address: &str| {
            if count == 0 { BTreeMap::new() } else { BTreeMap::from([(address.parse().unwrap(), count)]) }
        };
        let ports = PortsInUse {
            asking: some(asking, "192.0.2.7:443"),
            asked: some(asked, "10.0.0.1:80"),
            ..PortsInUse::default()
        };
        Made::default().part(counters(4), counters(4 + again)).part(PortsInUse::default(), ports)
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let subject =
            |again, asking, asked| made(again, asking, asked).check(&CHECK).unwrap().remove(0).subject;
        assert_eq!(subject(20, 5, 0), "destination 192.0.2.7:443");
        assert_eq!(subject(20, 0, 5), "listener 10.0.0.1:80");
        assert_eq!(subject(20, 0, 0), "destinations");
        assert_eq!(made(0, 5, 5).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made(3, 5, 0).check(&CHECK).unwrap()[0].severity, Severity::Info);
    }
}
