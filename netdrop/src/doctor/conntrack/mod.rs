//! Connection tracking: how full its table is, who fills it, and what that costs.

mod filled_by;
mod hash_load;
mod insert_failed;
mod memory;
mod table_full;

use super::{Check, Moved, Part, Place, Unread, Window};
use crate::counters::cpu_table::CpuTable;

pub const CHECKS: &[Check] = &[table_full::CHECK, insert_failed::CHECK, hash_load::CHECK];

const COUNT: &str = "net.netfilter.nf_conntrack_count";
const MOST: &str = "net.netfilter.nf_conntrack_max";
const BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";

/// What connection tracking of a network namespace counts (`ct_cpu_seq_show`, `net/netfilter/nf_conntrack_standalone.c`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conntrack(pub CpuTable);

impl Part for Conntrack {
    const FROM: &'static str = "/proc/net/stat/nf_conntrack";

    fn read(place: &Place) -> Result<Self, Unread> {
        let text = place.net("stat/nf_conntrack")?;
        CpuTable::parse(&text).map(Self).map_err(|error| Unread::new(Self::FROM, error))
    }
}

/// One of its counters; none where this kernel has it not.
fn moved(window: &Window, name: &str) -> Result<Option<Moved>, Unread> {
    let (before, after) = window.both::<Conntrack>()?;
    let pair = after.0.since(&before.0, name);
    Ok(pair.map(|pair| window.moved(format!("conntrack {name}"), pair, Conntrack::FROM)))
}

/// By how much it rose.
fn by(moved: Option<&Moved>) -> u64 {
    moved.map_or(0, Moved::by)
}

/// What packets that connection tracking drops are freed by: whoever called the hook, for whatever reason a hook has (`nf_hook_slow`).
const OF_HOOKS: [&str; 2] = ["NETFILTER_DROP", "nf_hook_slow"];

/// The names that `own` of all that it dropped (`all`) explain: a rule's drops have the same reason and place, so they are connection tracking's
/// alone where there are no more of them than it counted itself, and this loss's where most are.
fn explained(window: &Window, own: u64, all: u64) -> &'static [&'static str] {
    let drops = window.lost_by(&OF_HOOKS);
    // Counters and drops are read within milliseconds of each other: a twentieth may fall between.
    if drops > 0 && drops <= all + all / 20 && own * 2 > all { &OF_HOOKS } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;
    use crate::doctor::{Area, Finding, Scope, Severity};
    use crate::model::{Counts, Row, Site};

    #[rstest::rstest]
    #[case::all_of_them(100, 100, true)]
    #[case::read_a_moment_apart(105, 100, true)]
    #[case::a_rule_drops_too(150, 100, false)]
    #[case::drops_are_not_known(0, 100, false)]
    fn drops_of_rules_are_not_explained(
        #[case] drops: u64,
        #[case] counted: u64,
        #[case] is_explained: bool,
    ) {
        static CHECK: Check = Check {
            name: "conntrack-x",
            area: Area::Conntrack,
            scope: Scope::Netns,
            needs: &[],
            run: |window| {
                let counted = by(moved(window, "drop")?.as_ref());
                Ok(vec![Finding::new(Severity::Info, "x", "y").explains(explained(window, counted, counted))])
            },
        };
        let site = Site { function: Some("nf_hook_slow".into()), ..Site::default() };
        let row =
            Row { counts: Counts { packets: drops, bytes: 0 }, site: Some(site.into()), ..Row::default() };
        let table = |drop| Conntrack([("drop", drop)].into());
        let made = Made::default().part(table(7), table(7 + counted)).drops(vec![row]);
        assert_eq!(made.check(&CHECK).unwrap()[0].explains.is_empty(), !is_explained);
    }
}
