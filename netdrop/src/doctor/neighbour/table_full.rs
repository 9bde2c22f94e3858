//! `neighbour-table-full`: new neighbours that found no place (`neigh_alloc`, net/core/neighbour.c), or soon won't.

use crate::counters::neighbour_tables::{NeighbourTable, NeighbourTables};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Remedy, Scope, Severity, Unread, Window,
    source,
};

pub const CHECK: Check = Check {
    name: "neighbour-table-full",
    area: Area::Neighbour,
    scope: Scope::Host,
    needs: &[source::<NeighbourTables>()],
    run,
};

const EXPLAINED: [&str; 2] = ["NEIGH_CREATEFAIL", "ip_finish_output2"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<NeighbourTables>()?;
    let none = NeighbourTable::default();
    let of = |table: &NeighbourTable| of_table(window, before.get(&table.name).unwrap_or(&none), table);
    Ok(after.0.iter().filter_map(of).collect())
}

fn of_table(window: &Window, before: &NeighbourTable, table: &NeighbourTable) -> Option<Finding> {
    let moved =
        |name: &str, pair| window.moved(format!("{} {name}", table.name), pair, NeighbourTables::FROM);
    let full = moved("table_fulls", (before.full, table.full));
    let forced = moved("forced_gc_runs", (before.forced_collections, table.forced_collections));
    let [_, _, most] = table.thresholds;
    // Nine tenths: the rest is as many as a scan of a /24 makes with the kernel's own limit of 1024.
    let is_near = u64::from(table.entries) * 10 >= u64::from(most) * 9 && most > 0;
    let (severity, sentence) = match full.by() {
        0 if !is_near => return None,
        0 => (
            Severity::Warning,
            format!(
                "The table has {} neighbours of at most {most}: soon new ones will find no place.",
                table.entries
            ),
        ),
        lost => (
            Severity::of_loss(lost, 0),
            format!("{lost} packets couldn't be sent as their next hop found no place in the table."),
        ),
    };
    let (family, key) = match table.name.as_str() {
        "ndisc_cache" => ("IPv6", "net.ipv6.neigh.default.gc_thresh"),
        _ => ("IPv4", "net.ipv4.neigh.default.gc_thresh"),
    };
    let enough =
        (u64::from(table.entries.max(most)) + full.by()).max(2 * u64::from(most)).next_power_of_two();
    // The kernel's own proportions: 128, 512, 1024.
    let keys = [1, 2, 3].map(|number| format!("{key}{number}"));
    let settings: [(&str, &dyn std::fmt::Display); 3] =
        [(&keys[2], &enough), (&keys[1], &(enough / 2)), (&keys[0], &(enough / 8))];
    let limits = table.thresholds.map(|limit| limit.to_string()).join(" ");
    Some(
        Finding::new(severity, format!("{family}'s table of neighbours"), sentence)
            .losing(full.rate)
            .because(
                Certainty::Likely,
                "More hosts are on the directly connected networks, of all namespaces together, than the table may hold: a large flat network, many containers, or a scan of one.",
            )
            .shown_by([full, forced].into_iter().filter(|moved: &Moved| moved.by() > 0))
            .shown_by([
                Evidence::value("entries", table.entries, NeighbourTables::FROM),
                Evidence::value("gc_thresh1 to 3", limits, NeighbourTables::FROM),
            ])
            .shown_by(window.drops_of(&EXPLAINED))
            .explains(&EXPLAINED)
            .remedy(Remedy::host_sysctl("Let the table hold more.", &settings))
            .caution("Each entry takes half a KiB or so that can't be swapped. If addresses are being scanned, stop the scan instead."),
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    fn made(entries: u32, full: u64) -> Made {
        let table = |entries, full| NeighbourTable {
            name: "arp_cache".into(),
            entries,
            thresholds: [128, 512, 1024],
            full,
            ..NeighbourTable::default()
        };
        Made::default()
            .part(NeighbourTables(vec![table(3, 7)]), NeighbourTables(vec![table(entries, 7 + full)]))
    }

    #[test]
    fn a_full_table() {
        assert_snapshot!(made(1024, 600).told(&CHECK));
    }

    #[rstest::rstest]
    #[case(921, 0, None)]
    #[case(922, 0, Some(Severity::Warning))]
    #[case(922, 1, Some(Severity::Info))]
    #[case(1024, 10, Some(Severity::Critical))]
    fn a_table_fills(#[case] entries: u32, #[case] full: u64, #[case] severity: Option<Severity>) {
        let findings = made(entries, full).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }
}
