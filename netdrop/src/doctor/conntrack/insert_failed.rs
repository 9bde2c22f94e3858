//! `conntrack-insert-failed`: packets whose connection's addresses and ports another has: they lost a race for them, or source NAT had no
//! port left (`nf_ct_resolve_clash`, `net/netfilter/nf_conntrack_core.c`; `nf_nat_l4proto_unique_tuple`, `net/netfilter/nf_nat_core.c`).

use super::{Conntrack, by, explained, moved};
use crate::doctor::{Area, Certainty, Check, Finding, Remedy, Scope, Severity, Unread, Window, source};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "conntrack-insert-failed",
    area: Area::Conntrack,
    scope: Scope::Netns,
    needs: &[source::<Conntrack>()],
    run,
};

/// Clashes that were settled, a second: below, they are the few that any host with several CPUs has.
const MANY: f64 = 10.0;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let clashes = moved(window, "clashres")?;
    // What found its chain too long is counted here, too, and told of by another check.
    let too_long = by(moved(window, "chainlength")?.as_ref());
    let failed = moved(window, "insert_failed")?;
    let lost = by(failed.as_ref()).saturating_sub(too_long);
    let (severity, sentence) = if lost > 0 {
        let sentence = format!(
            "{} dropped as another connection has the same addresses and ports.",
            counted(lost, "packet was", "packets were")
        );
        (Severity::of_loss(lost, 0).min(Severity::Warning), sentence)
    } else {
        let Some(many) = clashes.as_ref().filter(|moved| moved.rate >= MANY) else { return Ok(Vec::new()) };
        let sentence = format!(
            "{} found that another had entered the connection first; it was settled, and none was lost.",
            counted(many.by(), "packet", "packets")
        );
        (Severity::Info, sentence)
    };
    let all = by(moved(window, "drop")?.as_ref()) + too_long;
    Ok(vec![
        Finding::new(severity, "connection tracking", sentence)
            .losing(window.rate(lost))
            .because(
                Certainty::Likely,
                "Two packets of a new connection, or two connections that source NAT gives the same port, were on their way at the same time: DNS queries for A and AAAA from one socket are the usual ones. Or the ports that source NAT may give are all taken.",
            )
            .shown_by(failed.filter(|moved| moved.by() > 0))
            .shown_by(clashes.filter(|moved| moved.by() > 0))
            .explains(explained(window, lost, all))
            .remedy(Remedy::advice("Have source NAT choose ports at random: `masquerade fully-random` (nft), `--random-fully` (iptables); and from all of them, not from a range (`snat to ADDRESS:FIRST-LAST`, `--to-ports`): each destination has each port once."))
            .remedy(Remedy::advice("For DNS: `options single-request-reopen` in resolv.conf, or a resolver cache on the host that isn't reached by NAT."))
            .caution("Resolvers try again after 5 seconds: few such losses are felt as slow look-ups."),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made::Made;

    fn table(failed: u64, too_long: u64, clashes: u64) -> Conntrack {
        Conntrack([("insert_failed", failed), ("chainlength", too_long), ("clashres", clashes)].into())
    }

    #[rstest::rstest]
    #[case::races((50, 0, 100), Some((Severity::Warning, 2)))]
    #[case::few_that_were_settled((0, 0, 49), None)]
    #[case::many_that_were_settled((0, 0, 50), Some((Severity::Info, 1)))]
    #[case::long_chains_are_told_elsewhere((50, 50, 0), None)]
    #[case((0, 0, 0), None)]
    fn races_are_told_of(#[case] by: (u64, u64, u64), #[case] expected: Option<(Severity, usize)>) {
        let made = Made::default().part(table(1, 1, 1), table(1 + by.0, 1 + by.1, 1 + by.2));
        let findings = made.check(&CHECK).unwrap();
        let told = findings.first().map(|finding| (finding.severity, finding.evidence.len()));
        assert_eq!(told, expected);
    }

    #[test]
    fn a_kernel_without_these_counters() {
        let made = Made::default().part(Conntrack::default(), Conntrack::default());
        assert_eq!(made.check(&CHECK), Ok(Vec::new()));
    }
}
