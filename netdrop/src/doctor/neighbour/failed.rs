//! `neighbour-failed`: packets to next hops that don't answer (`neigh_invalidate`, net/core/neighbour.c; `arp_error_report`, net/ipv4/arp.c).

use super::{NeighbourTables, Neighbours};
use crate::counters::neighbours::Silent;
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "neighbour-failed",
    area: Area::Neighbour,
    scope: Scope::Netns,
    needs: &[source::<Neighbours>(), source::<NeighbourTables>()],
    run,
};

/// What drops them: the last two where a kernel knows no reason, or none for IPv6.
const EXPLAINED: [&str; 4] = ["NEIGH_FAILED", "arp_error_report", "ndisc_error_report", "neigh_invalidate"];
/// Next hops that are named.
const NAMED: usize = 5;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    // The kernel counts questions that nobody answered, of all namespaces together, and not the packets that waited: only drops tell of those.
    window.drops.as_ref().map_err(Clone::clone)?;
    let neighbours = window.now::<Neighbours>()?;
    let lost = window.lost_by(&EXPLAINED);
    if lost == 0 {
        return Ok(Vec::new());
    }
    let subject = match &neighbours.silent[..] {
        [] => "next hops".to_owned(),
        [one] => format!("next hop {}", name(one)),
        _ => format!("{} next hops", neighbours.silent_count),
    };
    let sentence =
        format!("{} dropped as the next hop didn't answer.", counted(lost, "packet was", "packets were"));
    let (before, after) = window.both::<NeighbourTables>()?;
    let questions = after.0.iter().map(|table| {
        let was = before.get(&table.name).map_or(0, |table| table.failed);
        window.moved(format!("{} res_failed", table.name), (was, table.failed), NeighbourTables::FROM)
    });
    let silent: Vec<_> = neighbours.silent.iter().take(NAMED).map(name).collect();
    let rest = neighbours.silent_count.saturating_sub(silent.len() as u64);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let named = Evidence::value("without an answer", silent.join(", ") + &more, Neighbours::FROM);
    let device = neighbours.silent.first().map_or("any".into(), |one| shell(&one.device));
    Ok(vec![
        Finding::new(Severity::of_loss(lost, 0).min(Severity::Warning), subject, sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Likely,
                "Nobody has that address on the link: the host is off or elsewhere, the route or the prefix is wrong, or ARP or NDP is filtered on the way (VLAN, a switch's port, a firewall).",
            )
            .shown_by(window.drops_of(&EXPLAINED))
            .shown_by((!silent.is_empty()).then_some(named))
            .shown_by(questions.filter(|moved| moved.by() > 0))
            .explains(&EXPLAINED)
            .remedy(Remedy::command("See who sends to them.", "netdrop watch --reason NEIGH_FAILED --by owner,dst --duration 30s"))
            .remedy(Remedy::advice(format!("See whether questions go out and answers come: `tcpdump -ni {device} arp or icmp6`. Then bring the host back, or correct the address or the route.")))
            .caution("A sender is told after seconds at the earliest: a next hop that is gone for good should have no route."),
    ])
}

fn name(silent: &Silent) -> String {
    let on = if silent.device.is_empty() { "" } else { " on " };
    format!("{}{on}{}", silent.address, silent.device)
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use insta::assert_snapshot;

    use super::*;
    use crate::counters::neighbour_tables::NeighbourTable;
    use crate::doctor::made::Made;
    use crate::knowledge::Class;
    use crate::model::{Counts, Device, Protocol, Reason, Row};

    /// So many drops of packets of IPv4 that went out by `s0`.
    pub fn row(reason: &str, packets: u64) -> Row {
        Row {
            counts: Counts { packets, bytes: 0 },
            reason: Some(Arc::new(Reason {
                number: 9,
                name: reason.into(),
                class: Class::Unknown,
                subsystem: "core".into(),
            })),
            device: Some(Arc::new(Device { index: 7, name: Some("s0".into()) })),
            protocol: Some(Protocol { ethertype: 0x0800, ip: Some(17) }),
            ..Row::default()
        }
    }

    fn made(rows: Vec<Row>, silent: usize) -> Made {
        let one = |host: usize| Silent {
            address: format!("10.9.0.{host}").parse().unwrap(),
            index: 7,
            device: "s0".into(),
            failed: true,
        };
        let neighbours = Neighbours {
            silent: (99..99 + silent).map(one).collect(),
            silent_count: silent as u64,
            ..Neighbours::default()
        };
        let table = |failed| {
            NeighbourTables(vec![NeighbourTable {
                name: "arp_cache".into(),
                failed,
                ..NeighbourTable::default()
            }])
        };
        Made::default().part(Neighbours::default(), neighbours).part(table(1), table(3)).drops(rows)
    }

    #[test]
    fn one_that_is_away() {
        assert_snapshot!(made(vec![row("NEIGH_FAILED", 40)], 1).told(&CHECK));
    }

    #[test]
    fn many_are_counted() {
        let findings = made(vec![row("NEIGH_FAILED", 2)], 8).check(&CHECK).unwrap();
        let finding = &findings[0];
        assert_eq!((finding.subject.as_str(), finding.severity), ("8 next hops", Severity::Info));
        let told = format!("{:?}", finding.evidence);
        assert!(told.contains("10.9.0.103 on s0 and 3 more"), "{told}");
    }

    /// A host that is off and that somebody asked for once: no packet of this window was lost.
    #[test]
    fn without_losses_it_is_silent() {
        assert_eq!(made(vec![row("NO_SOCKET", 40)], 3).check(&CHECK), Ok(Vec::new()));
    }
}
