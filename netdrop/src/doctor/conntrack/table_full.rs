//! `conntrack-table-full`: packets dropped as no connection more may be tracked (`__nf_conntrack_alloc`, `net/netfilter/nf_conntrack_core.c`).

use super::Conntrack;
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::bytes;

pub const CHECK: Check = Check {
    name: "conntrack-table-full",
    area: Area::Conntrack,
    scope: Scope::Netns,
    needs: &[source::<Conntrack>(), source::<Sysctls>()],
    run,
};

const COUNT: &str = "net.netfilter.nf_conntrack_count";
const MOST: &str = "net.netfilter.nf_conntrack_max";
const BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";
/// `struct nf_conn` with its extensions, from a slab of its own: 256 bytes and some 64 of extensions.
const ENTRY: u64 = 320;
/// A list head of the hash table.
const BUCKET: u64 = 8;
const EXPLAINED: [&str; 3] = ["NETFILTER_DROP", "nf_conntrack_in", "nf_hook_slow"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Conntrack>()?;
    let (count, most) = (window.sysctl(COUNT)?, window.sysctl(MOST)?);
    let moved = |name: &str| {
        let pair = (before.0.get(name).unwrap_or(0), after.0.get(name).unwrap_or(0));
        window.moved(format!("conntrack {name}"), pair, Conntrack::FROM)
    };
    let (dropped, early) = (moved("drop"), moved("early_drop"));
    let is_near = count.saturating_mul(10) >= most.saturating_mul(9) && most > 0;
    // What is dropped early was tracked and unanswered: somebody's connection attempt, forgotten to make room.
    let (severity, sentence) = match (dropped.by(), early.by()) {
        (0, 0) if !is_near => return Ok(Vec::new()),
        (0, 0) => (
            Severity::Warning,
            format!(
                "The table tracks {count} connections of at most {most}: soon packets of new ones will be dropped."
            ),
        ),
        (0, forgotten) => (
            Severity::of_loss(forgotten, 0).min(Severity::Warning),
            format!(
                "{forgotten} connections that nobody had answered were forgotten to make room for others."
            ),
        ),
        (lost, _) if count.saturating_mul(2) < most => {
            // Then they had another cause (a helper, memory), or it is over.
            (
                Severity::of_loss(lost, 0).min(Severity::Warning),
                format!("{lost} packets couldn't be tracked, and were dropped."),
            )
        }
        (lost, _) => (
            Severity::of_loss(lost, 0),
            format!("{lost} packets of new connections were dropped, as no more may be tracked."),
        ),
    };
    let enough = most.max(count).saturating_mul(2).max(most + dropped.by()).next_power_of_two();
    let memory = format!(
        "Of the kernel's memory {enough} connections take {} ({enough} × {ENTRY} bytes), and the hash table {} ({enough} × {BUCKET}).",
        bytes(enough * ENTRY),
        bytes(enough * BUCKET)
    );
    let what = "Track twice as many, with a hash table of that size.";
    Ok(vec![
        Finding::new(severity, "connection tracking", sentence)
            .losing(dropped.rate)
            .because(
                Certainty::Likely,
                "More connections are remembered than the table may hold: many short ones that wait for their timeout, a scan or a flood, or a limit that was made for less memory.",
            )
            .shown_by([dropped, early].into_iter().filter(|moved| moved.by() > 0))
            .shown_by([
                Evidence::value(COUNT, count, "/proc/sys/net/netfilter/nf_conntrack_count"),
                Evidence::value(MOST, most, "/proc/sys/net/netfilter/nf_conntrack_max"),
            ])
            .shown_by(window.drops_of(&["nf_conntrack_in"]))
            .explains(&EXPLAINED)
            .remedy(Remedy::host_sysctl(what, &[(MOST, &enough), (BUCKETS, &enough)]))
            .remedy(Remedy::advice("Don't track what needs no tracking: `notrack` rules for busy services without NAT (DNS, load balancers)."))
            .caution(memory),
    ])
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    fn made(count: u64, drop: u64, early: u64) -> Made {
        let table = |drop, early| Conntrack([("entries", 9), ("drop", drop), ("early_drop", early)].into());
        let settings: Sysctls = [(COUNT, count), (MOST, 65_536)].into_iter().collect();
        Made::default().part(table(4, 2), table(4 + drop, 2 + early)).part(Sysctls::default(), settings)
    }

    #[test]
    fn a_full_table() {
        assert_snapshot!(made(65_536, 900, 30).told(&CHECK));
    }

    #[rstest::rstest]
    #[case(58_982, 0, 0, None)]
    #[case(58_983, 0, 0, Some(Severity::Warning))]
    #[case(65_536, 9, 0, Some(Severity::Info))]
    #[case(65_536, 10, 0, Some(Severity::Critical))]
    #[case::of_other_cause(10, 10, 0, Some(Severity::Warning))]
    #[case(65_000, 0, 10, Some(Severity::Warning))]
    fn a_table_fills(
        #[case] count: u64,
        #[case] drop: u64,
        #[case] early: u64,
        #[case] severity: Option<Severity>,
    ) {
        let findings = made(count, drop, early).check(&CHECK).unwrap();
        assert_eq!(findings.first().map(|finding| finding.severity), severity);
    }

    #[test]
    fn where_nothing_is_tracked_it_cant_be_checked() {
        let why = made(0, 0, 0).without::<Conntrack>("no such file").check(&CHECK).unwrap_err();
        assert_eq!(why, "/proc/net/stat/nf_conntrack: no such file");
    }
}
