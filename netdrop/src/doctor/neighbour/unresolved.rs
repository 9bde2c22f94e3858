//! `neighbour-unresolved`: packets that waited for a next hop's address and found the queue full (`__neigh_event_send`, net/core/neighbour.c).

use std::collections::BTreeMap;

use super::{FAMILIES, NeighbourStats, WaitingRoom};
use crate::doctor::shell::shell;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Span, Unread,
    Window, source,
};
use crate::model::Row;
use crate::units::{bytes, counted};

pub const CHECK: Check = Check {
    name: "neighbour-unresolved",
    area: Area::Neighbour,
    scope: Scope::Netns,
    needs: &[source::<NeighbourStats>(), source::<WaitingRoom>()],
    run,
};

const EXPLAINED: [&str; 2] = ["NEIGH_QUEUEFULL", "__neigh_event_send"];
/// The kernel's own limit: 256 packets of 256 bytes (`SK_WMEM_DEFAULT`, include/net/sock.h; `SK_WMEM_MAX` up to 6.12).
const DEFAULT: u64 = 212_992;
/// What a packet of a full Ethernet frame takes of it (`skb->truesize`): its 1500 bytes, the `sk_buff` and the rest of its 2 KiB buffer.
const TRUESIZE: u64 = 2304;
/// A next hop that doesn't answer for the three seconds of its questions holds so much at 40 Mbit/s: more is a next hop that is away.
const LARGEST: u64 = 16 << 20;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let rooms = window.now::<WaitingRoom>()?;
    if window.drops.is_err() || window.span == Span::SinceBoot {
        return tallied(window, rooms);
    }
    // The kernel's counters are of all namespaces and devices together, and of each family; drops tell namespaces and devices apart.
    let mut lost: BTreeMap<String, u64> = BTreeMap::new();
    for row in window.rows_of(&EXPLAINED) {
        *lost.entry(device_of(row)).or_default() += row.counts.packets;
    }
    let moved: Vec<_> = (0..FAMILIES.len()).filter(|family| discards(window, *family).is_some()).collect();
    let of = |(device, lost): (&String, &u64)| {
        let families = if moved.is_empty() { vec![0, 1] } else { moved.clone() };
        found(window, rooms, (&families, device), *lost)
            .shown_by(window.drops_of(&EXPLAINED))
            .shown_by(families.iter().filter_map(|family| discards(window, *family)))
    };
    Ok(lost.iter().map(of).collect())
}

/// What the kernel counts, where drops aren't known.
fn tallied(window: &Window, rooms: &WaitingRoom) -> Result<Vec<Finding>, Unread> {
    window.both::<NeighbourStats>()?;
    let of = |family: usize| {
        let moved = discards(window, family)?;
        Some(found(window, rooms, (&[family], "default"), moved.by()).shown_by([moved]))
    };
    Ok((0..FAMILIES.len()).filter_map(of).collect())
}

fn discards(window: &Window, family: usize) -> Option<Moved> {
    let (before, after) = window.both::<NeighbourStats>().ok()?;
    let count = |stats: &NeighbourStats| stats.0[family].get("unresolved_discards").unwrap_or(0);
    let name = format!("unresolved_discards of {}", FAMILIES[family].0);
    let moved = window.moved(name, (count(before), count(after)), NeighbourStats::FROM);
    (moved.by() > 0).then_some(moved)
}

fn device_of(row: &Row) -> String {
    row.device.as_ref().and_then(|device| device.name.clone()).unwrap_or_else(|| "default".into())
}

fn found(window: &Window, rooms: &WaitingRoom, (families, device): (&[usize], &str), lost: u64) -> Finding {
    let by = if device == "default" { String::new() } else { format!(" by {device}") };
    let subject = match families {
        [family] => format!("{} next hops{by}", FAMILIES[*family].0),
        _ => format!("next hops{by}"),
    };
    let sentence = format!(
        "{} dropped while waiting for the address of the next hop.",
        counted(lost, "packet was", "packets were")
    );
    let limits: Vec<_> = families
        .iter()
        .filter_map(|family| {
            let limit = *rooms.0.get(&(*family, device.to_owned()))?;
            Some((format!("{}/{device}/unres_qlen_bytes", FAMILIES[*family].1), limit))
        })
        .collect();
    let told = |(key, limit): &(String, u64)| {
        Evidence::value(key.as_str(), bytes(*limit), format!("/proc/sys/{key}"))
    };
    let on = if by.is_empty() { String::new() } else { format!(" dev {}", shell(device)) };
    let see = Remedy::command(
        "See which one it is: it is INCOMPLETE or FAILED.",
        format!("ip neigh show{on} nud incomplete nud failed"),
    );
    // A next hop that comes late loses the first packets of a flow; one that is away is told of by another check.
    let finding = Finding::new(Severity::of_loss(lost, 0).min(Severity::Warning), subject, sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "A next hop doesn't answer ARP or NDP, or answers late, while more packets are sent to it than may wait.",
        )
        .shown_by(limits.iter().map(told))
        .explains(&EXPLAINED)
        .remedy(see.inside(window))
        .caution("Packets that wait for somebody who never answers are lost anyway, later.");
    // Had all of them waited for one next hop, so much would have held them.
    let most = limits.iter().map(|(_, limit)| *limit).max().unwrap_or(DEFAULT);
    let enough = (most + lost.saturating_mul(TRUESIZE)).next_power_of_two().min(LARGEST);
    if enough <= most || limits.is_empty() {
        return finding;
    }
    let what = if by.is_empty() {
        "If it answers, only late: let more packets wait for each, of devices made from now on.".to_owned()
    } else {
        format!("If it answers, only late: let {} wait for each next hop{by}.", bytes(enough))
    };
    let settings: Vec<_> =
        limits.iter().map(|(key, _)| (key.as_str(), &enough as &dyn std::fmt::Display)).collect();
    finding.remedy(Remedy::sysctl(window, what, &settings))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::failed::tests::row;
    use super::*;
    use crate::counters::cpu_table::CpuTable;
    use crate::doctor::made::Made;

    fn made(of_ipv4: u64, of_ipv6: u64) -> Made {
        let stats = |of_ipv4, of_ipv6| {
            NeighbourStats([of_ipv4, of_ipv6].map(|count| CpuTable::from([("unresolved_discards", count)])))
        };
        let rooms = || WaitingRoom([((0, "s0".to_owned()), 212_992), ((1, "default".to_owned()), 9)].into());
        Made::default().part(stats(3, 3), stats(3 + of_ipv4, 3 + of_ipv6)).part(rooms(), rooms())
    }

    #[test]
    fn the_device_is_named() {
        assert_snapshot!(made(60, 0).drops(vec![row("NEIGH_QUEUEFULL", 50)]).told(&CHECK));
    }

    #[test]
    fn other_namespaces_discards_are_theirs() {
        assert_eq!(made(60, 60).drops(vec![row("NEIGH_FAILED", 50)]).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn where_drops_arent_known_each_family_is_told_of() {
        let findings = made(9, 50).since_boot().check(&CHECK).unwrap();
        let told: Vec<_> = findings.iter().map(|one| (one.subject.as_str(), one.severity)).collect();
        assert_eq!(told, [("IPv6 next hops", Severity::Warning), ("IPv4 next hops", Severity::Info)]);
        let command = &findings[0].remedies[1].now[0];
        assert_eq!(command, "sysctl -w net/ipv6/neigh/default/unres_qlen_bytes=131072");
        assert_eq!(made(0, 0).since_boot().check(&CHECK), Ok(Vec::new()));
    }
}
