//! `conntrack-table-full`: packets dropped as no connection more may be tracked (`__nf_conntrack_alloc`, `net/netfilter/nf_conntrack_core.c`).

use super::filled_by::{self, FilledBy};
use super::memory::Memory;
use super::{BUCKETS, COUNT, Conntrack, MOST, by, explained, moved};
use crate::doctor::parts::Sysctls;
use crate::doctor::{
    Area, Certainty, Check, Finding, Moved, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "conntrack-table-full",
    area: Area::Conntrack,
    scope: Scope::Netns,
    needs: &[source::<Conntrack>(), source::<Sysctls>(), source::<FilledBy>(), source::<Memory>()],
    run,
};

/// How long a connection is remembered at least that nobody answers, in seconds (`udp_timeouts`, `net/netfilter/nf_conntrack_proto_udp.c`).
const REMEMBERED: u64 = 30;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    window.both::<Conntrack>()?;
    let (count, most) = (window.sysctl(COUNT)?, window.sysctl(MOST)?);
    let moved = |name| moved(window, name);
    let (dropped, early) = (moved("drop")?, moved("early_drop")?);
    let too_long = by(moved("chainlength")?.as_ref());
    // Who loses a race is counted as dropped, too, and told of by another check.
    let raced = by(moved("insert_failed")?.as_ref()).saturating_sub(too_long);
    let lost = by(dropped.as_ref()).saturating_sub(raced);
    let is_near = count.saturating_mul(10) >= most.saturating_mul(9) && most > 0;
    // What is dropped early was tracked and unanswered: somebody's connection attempt, forgotten to make room.
    let (severity, sentence) = match (lost, by(early.as_ref())) {
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
                "{} forgotten to make room for others.",
                counted(
                    forgotten,
                    "connection that nobody had answered was",
                    "connections that nobody had answered were"
                )
            ),
        ),
        (lost, _) if count.saturating_mul(2) < most => {
            // Then they had another cause (a helper, memory), or it is over.
            (
                Severity::of_loss(lost, 0).min(Severity::Warning),
                format!("{} dropped, as tracking failed.", counted(lost, "packet was", "packets were")),
            )
        }
        (lost, _) => (
            Severity::of_loss(lost, 0),
            format!(
                "{} dropped, as no more may be tracked.",
                counted(lost, "packet of a new connection was", "packets of new connections were")
            ),
        ),
    };
    let memory = window.now::<Memory>().copied().unwrap_or_default();
    let wanted = wanted(window, count.max(most), lost + by(early.as_ref()));
    let enough = wanted.min(memory.bearable());
    let finding = Finding::new(severity, "connection tracking", sentence)
        .losing(window.rate(lost))
        .because(
            Certainty::Likely,
            "More connections are remembered than the table may hold: many short ones that wait for their timeout, a scan or a flood, or a limit that was made for less memory.",
        )
        .shown_by([dropped, early].into_iter().flatten().filter(|moved: &Moved| moved.by() > 0))
        .shown_by([COUNT, MOST].into_iter().filter_map(|key| window.setting(key)))
        .shown_by(filled_by::told(window))
        .explains(explained(window, lost, lost + raced + too_long))
        .caution(memory.told(enough.max(most)));
    let finding = if enough > most {
        let what = "Track more connections, with a hash table of that size.";
        finding.remedy(Remedy::host_sysctl(what, &[(MOST, &enough), (BUCKETS, &enough)]))
    } else {
        finding
    };
    let finding = filled_by::sooner(window).into_iter().fold(finding, Finding::remedy);
    Ok(vec![finding.remedy(Remedy::advice(
        "Don't track what needs no tracking: `notrack` rules for busy services without NAT (DNS, load balancers).",
    ))])
}

/// Twice as many; and as many more as come in the time that each is remembered, at the rate at which they found no place.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is above zero, and a limit has few digits"
)]
fn wanted(window: &Window, now: u64, refused: u64) -> u64 {
    let more = window.rate(refused).ceil() as u64;
    now.saturating_mul(2).max(now.saturating_add(more.saturating_mul(REMEMBERED))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::doctor::made::Made;

    const TIME_WAIT: &str = "net.netfilter.nf_conntrack_tcp_timeout_time_wait";

    fn made(count: u64, drop: u64, early: u64) -> Made {
        let table = |drop, early| Conntrack([("entries", 9), ("drop", drop), ("early_drop", early)].into());
        let settings: Sysctls = [(COUNT, count), (MOST, 65_536), (TIME_WAIT, 120)].into_iter().collect();
        let memory = Memory { entry: Some(256), total: 16 << 30 };
        Made::default()
            .part(table(4, 2), table(4 + drop, 2 + early))
            .part(Sysctls::default(), settings)
            .part(FilledBy::default(), filled())
            .part(memory, memory)
    }

    /// Three of four by one source, in `TIME_WAIT`.
    fn filled() -> FilledBy {
        let mut filled = FilledBy::default();
        for source in [5, 5, 5, 6] {
            filled.0.add(&format!("ipv4 2 tcp 6 119 TIME_WAIT src=10.0.0.{source} dst=10.0.0.1 use=2"));
        }
        filled
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
    fn a_flood_wants_room_for_the_time_that_it_is_remembered() {
        let findings = made(65_536, 50_000, 0).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now[0], "sysctl -w net.netfilter.nf_conntrack_max=524288");
        let small = Memory { entry: None, total: 256 << 20 };
        let findings = made(65_536, 50_000, 0).part(small, small).check(&CHECK).unwrap();
        assert_eq!(findings[0].remedies[0].now[0], "sysctl -w net.netfilter.nf_conntrack_max=85598");
    }

    #[test]
    fn who_fills_it_may_be_unknown() {
        let findings = made(65_536, 900, 0).without::<FilledBy>("root may read it").check(&CHECK).unwrap();
        assert!(format!("{:?}", findings[0].evidence).contains("root may read it"), "{findings:?}");
    }

    #[test]
    fn where_nothing_is_tracked_it_cant_be_checked() {
        let why = made(0, 0, 0).without::<Conntrack>("no such file").check(&CHECK).unwrap_err();
        assert_eq!(why, "/proc/net/stat/nf_conntrack: no such file");
    }
}
