//! `neighbour-forced-gc`: new neighbours that wait while the table is searched for old ones (`neigh_forced_gc`, net/core/neighbour.c).

use super::{FAMILIES, NeighbourTables, family_of, fill, room};
use crate::counters::neighbour_tables::NeighbourTable;
use crate::doctor::{Area, Certainty, Check, Finding, Part as _, Scope, Severity, Unread, Window, source};
use crate::units::times;

pub const CHECK: Check = Check {
    name: "neighbour-forced-gc",
    area: Area::Neighbour,
    scope: Scope::Host,
    needs: &[source::<NeighbourTables>()],
    run,
};

/// Above `gc_thresh2` there is one in five seconds at most; more come above `gc_thresh3` alone (`neigh_alloc`), and take up to a millisecond each
/// with the table locked.
const OFTEN: f64 = 1.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<NeighbourTables>()?;
    let none = NeighbourTable::default();
    let of = |table: &NeighbourTable| of_table(window, before.get(&table.name).unwrap_or(&none), table);
    Ok(after.0.iter().filter_map(of).collect())
}

fn of_table(window: &Window, before: &NeighbourTable, table: &NeighbourTable) -> Option<Finding> {
    let pair = (before.forced_collections, table.forced_collections);
    let forced = window.moved(format!("{} forced_gc_runs", table.name), pair, NeighbourTables::FROM);
    // Where neighbours found no place, that is told instead.
    if forced.by() == 0 || table.full != before.full {
        return None;
    }
    let family = family_of(table);
    let severity = if forced.by() > 1 && forced.rate > OFTEN { Severity::Warning } else { Severity::Info };
    let often = times(forced.by());
    let sentence = format!(
        "New neighbours had to wait while the table of {} was searched for old ones to forget, {often}.",
        table.entries
    );
    let [_, collected, most] = table.thresholds.map(u64::from);
    let enough = (u64::from(table.entries).max(collected) * 4).max(most).next_power_of_two();
    Some(
        Finding::new(severity, format!("{}'s table of neighbours", FAMILIES[family].0), sentence)
            .because(
                Certainty::Certain,
                format!("The table holds more than gc_thresh2 ({collected}) neighbours that may be forgotten, and new ones come."),
            )
            .shown_by([forced])
            .shown_by(fill(table))
            .remedy(room(family, enough))
            .caution("Each entry takes half a KiB or so that can't be swapped. If addresses are being scanned, stop the scan instead."),
    )
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    fn made(forced: u64, full: u64) -> Made {
        let table = |forced_collections, full| NeighbourTable {
            name: "ndisc_cache".into(),
            entries: 700,
            thresholds: [128, 512, 1024],
            forced_collections,
            full,
            ..NeighbourTable::default()
        };
        Made::default()
            .part(NeighbourTables(vec![table(3, 1)]), NeighbourTables(vec![table(3 + forced, 1 + full)]))
    }

    #[test]
    fn a_table_over_its_second_threshold() {
        assert_snapshot!(made(1, 0).told(&CHECK));
    }

    #[rstest::rstest]
    #[case(0, 0, None)]
    #[case(5, 0, Some(Severity::Info))]
    #[case(6, 0, Some(Severity::Warning))]
    #[case::told_elsewhere(600, 9, None)]
    fn how_often_decides(#[case] forced: u64, #[case] full: u64, #[case] severity: Option<Severity>) {
        let findings = made(forced, full).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }
}
