//! `neighbour-table-full`: new neighbours that found no place (`neigh_alloc`, net/core/neighbour.c), or soon won't.

use super::{FAMILIES, NeighbourTables, Neighbours, family_of, fill, room};
use crate::counters::neighbour_tables::NeighbourTable;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "neighbour-table-full",
    area: Area::Neighbour,
    scope: Scope::Host,
    needs: &[source::<NeighbourTables>(), source::<Neighbours>()],
    run,
};

/// What drops packets whose next hop has no entry; the functions where a kernel knows no reason.
const EXPLAINED: [&str; 3] = ["NEIGH_CREATEFAIL", "ip_finish_output2", "ip6_finish_output2"];

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
    let family = family_of(table);
    let most = u64::from(table.thresholds[2]);
    // Permanent neighbours and those of routing daemons don't count (`neigh_update_gc_list`); other namespaces' can't be told apart.
    let exempt = window.now::<Neighbours>().map_or(0, |neighbours| neighbours.exempt[family]);
    let entries = u64::from(table.entries).saturating_sub(exempt);
    // Nine tenths: the rest is as many as a scan of a /24 makes with the kernel's own limit of 1024.
    let is_near = entries * 10 >= most * 9 && most > 0;
    let (severity, sentence) = match full.by() {
        0 if !is_near => return None,
        0 => (
            Severity::Warning,
            format!(
                "The table has {entries} neighbours of at most {most}: soon new ones will find no place."
            ),
        ),
        lost => (
            Severity::of_loss(lost, 0),
            format!(
                "{} couldn't be sent as the next hop found no place in the table.",
                counted(lost, "packet", "packets")
            ),
        ),
    };
    // A half more than was asked for in this window: others are asked for in another.
    let wanted = u64::from(table.entries).max(most) + full.by();
    let enough = (wanted + wanted / 2).max(2 * most).next_power_of_two();
    let finding = Finding::new(severity, format!("{}'s table of neighbours", FAMILIES[family].0), sentence)
        .losing(full.rate)
        .because(
            Certainty::Likely,
            "More hosts are on the directly connected networks, of all namespaces together, than the table may hold: a large flat network, many containers, or a scan of one.",
        );
    let is_full = full.by() > 0;
    let finding = finding
        .shown_by([full, forced].into_iter().filter(|moved: &Moved| moved.by() > 0))
        .shown_by(fill(table))
        .shown_by((exempt > 0).then(|| Evidence::value("permanent", exempt, Neighbours::FROM)))
        .remedy(room(family, enough))
        .caution("Each entry takes half a KiB or so that can't be swapped. If addresses are being scanned, stop the scan instead.");
    Some(if is_full { finding.shown_by(window.drops_of(&EXPLAINED)).explains(&EXPLAINED) } else { finding })
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

    #[test]
    fn permanent_neighbours_take_no_room() {
        let neighbours = || Neighbours { exempt: [100, 0], ..Neighbours::default() };
        let made = made(1000, 0).part(neighbours(), neighbours());
        assert_eq!(made.check(&CHECK), Ok(Vec::new()));
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
