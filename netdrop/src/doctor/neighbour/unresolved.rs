//! `neighbour-unresolved`: packets that waited for a next hop's address and found the queue full (`__neigh_event_send`, net/core/neighbour.c).

use super::NeighbourStats;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};

pub const CHECK: Check = Check {
    name: "neighbour-unresolved",
    area: Area::Neighbour,
    scope: Scope::Host,
    needs: &[source::<NeighbourStats>()],
    run,
};

const FAMILIES: [(&str, &str); 2] = [("IPv4", "net.ipv4.neigh"), ("IPv6", "net.ipv6.neigh")];
const EXPLAINED: [&str; 2] = ["NEIGH_QUEUEFULL", "__neigh_event_send"];
/// Eight times the kernel's own limit (`SK_WMEM_DEFAULT`, net/ipv4/arp.c).
const ENOUGH: u64 = 8 * 212_992;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<NeighbourStats>()?;
    let of = |(index, (family, key)): (usize, &(&str, &str))| {
        let count = |stats: &NeighbourStats| stats.0[index].get("unresolved_discards").unwrap_or(0);
        let name = format!("unresolved_discards of {family}");
        let discards = window.moved(name, (count(before), count(after)), NeighbourStats::FROM);
        (discards.by() > 0).then(|| of_family(window, family, key, discards))
    };
    Ok(FAMILIES.iter().enumerate().filter_map(of).collect())
}

fn of_family(window: &Window, family: &str, key: &str, discards: Moved) -> Finding {
    let lost = discards.by();
    let sentence =
        format!("{lost} packets were dropped while they waited for the address of their next hop.");
    let setting = format!("{key}.default.unres_qlen_bytes");
    // A next hop that comes late loses the first packets of a flow; one that is away is told by others.
    Finding::new(Severity::of_loss(lost, 0).min(Severity::Warning), format!("{family}'s next hops"), sentence)
        .losing(discards.rate)
        .because(
            Certainty::Likely,
            "A next hop doesn't answer ARP or NDP, or answers late, while more packets are sent to it than may wait.",
        )
        .shown_by([discards])
        .shown_by(window.drops_of(&EXPLAINED))
        .explains(&EXPLAINED)
        .remedy(Remedy::command("See which one it is: it is INCOMPLETE or FAILED.", "ip neigh show nud incomplete nud failed"))
        .remedy(Remedy::host_sysctl("If it answers, only late: let more packets wait for each, of devices made from now on.", &[(&setting, &ENOUGH)]))
        .caution("Packets that wait for somebody who never answers are lost anyway, later.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::cpu_table::CpuTable;
    use crate::doctor::made::Made;

    fn made(of_ipv4: u64, of_ipv6: u64) -> Made {
        let stats = |of_ipv4, of_ipv6| {
            NeighbourStats([of_ipv4, of_ipv6].map(|count| CpuTable::from([("unresolved_discards", count)])))
        };
        Made::default().part(stats(3, 3), stats(3 + of_ipv4, 3 + of_ipv6))
    }

    #[test]
    fn each_family_is_told_of() {
        let findings = made(9, 50).check(&CHECK).unwrap();
        let told: Vec<_> = findings.iter().map(|one| (one.subject.as_str(), one.severity)).collect();
        assert_eq!(told, [("IPv6's next hops", Severity::Warning), ("IPv4's next hops", Severity::Info)]);
        let command = &findings[0].remedies[1].now[0];
        assert_eq!(command, "sysctl -w net.ipv6.neigh.default.unres_qlen_bytes=1703936");
        assert_eq!(made(0, 0).check(&CHECK), Ok(Vec::new()));
    }
}
