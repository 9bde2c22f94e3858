//! `netfilter-drops-uncounted`: drops of netfilter that no counter of a rule tells of: nftables counts for a rule only where it has a `counter`,
//! and never for a policy.

use super::{DROPPED, moved, named, remedies};
use crate::counters::firewall::Firewall;
use crate::counters::rule::{Count, Rule};
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Part as _, Remedy, Scope, Severity, Unread, Window, source,
};
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "netfilter-drops-uncounted",
    area: Area::Netfilter,
    scope: Scope::Netns,
    needs: &[source::<Firewall>()],
    run,
};

/// Fewer may have been dropped between the reading of rules and the counting of drops.
const STRAYS: u64 = 10;
/// More candidates than this help nobody.
const NAMED: usize = 5;

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Firewall>()?;
    // Without them there is nothing to compare counters with.
    window.drops.as_ref().map_err(Clone::clone)?;
    let dropped: u64 = window.rows_of(&DROPPED).map(|row| row.counts.packets).sum();
    let by_rules: u64 = moved(window, before, after).iter().map(|(_, moved)| moved.by()).sum();
    let lost = dropped.saturating_sub(by_rules);
    if lost < STRAYS {
        return Ok(Vec::new());
    }
    let candidates: Vec<&Rule> =
        after.rules.iter().filter(|rule| !matches!(rule.count, Count::Dropped(_))).collect();
    let sentence = format!(
        "{} dropped by netfilter, and no rule's counter tells of them.",
        counted(lost, "packet was", "packets were")
    );
    let finding = Finding::new(Severity::Info, "rules without counters", sentence)
        .losing(window.rate(lost))
        .shown_by(window.drops_of(&DROPPED))
        .shown_by(candidates.iter().take(NAMED).map(|rule| {
            Evidence::value(
                named(rule),
                if rule.text.is_empty() { "drops" } else { &rule.text },
                Firewall::FROM,
            )
        }))
        .explains(&DROPPED);
    Ok(vec![match candidates[..] {
        [] => none(finding),
        [rule] => remedies::for_rule(window, only(finding, rule), rule),
        _ => several(finding, candidates.len()),
    }])
}

fn only(finding: Finding, rule: &Rule) -> Finding {
    let subject = named(rule);
    let cause = format!(
        "The {subject} is the only one here that drops without counting. A queue to a program or a full table of connections would look the same."
    );
    Finding { subject, ..finding }.because(Certainty::Likely, cause)
}

fn several(finding: Finding, count: usize) -> Finding {
    finding
        .because(
            Certainty::Possible,
            format!("{count} rules and policies drop without counting: it was one of them."),
        )
        .remedy(Remedy::command(
            "See which one, by the drops' call chains.",
            "netdrop watch --rules --reason NETFILTER_DROP --duration 10s",
        ))
        .remedy(Remedy::advice("Write `counter` in front of `drop` in rules: it costs next to nothing."))
        .caution("A rule is somebody's will: ask whose it is before you change it.")
}

fn none(finding: Finding) -> Finding {
    let finding = Finding { subject: "netfilter".into(), ..finding };
    finding
        .because(
            Certainty::Possible,
            "No rule here drops without counting: connection tracking dropped them (a full table, a race), a program at an NFQUEUE, ebtables or a helper.",
        )
        .remedy(Remedy::command(
            "See whose packets they are.",
            "netdrop watch --reason NETFILTER_DROP --by flow --duration 10s",
        ))
        .caution("Look at connection tracking first: `netdrop doctor --only conntrack`.")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{firewall, rule};
    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(rules: &[Rule]) -> Made {
        let rows = vec![row("NETFILTER_DROP", "nft_do_chain", "eth0", 60)];
        Made::default().part(firewall([]), firewall(rules.iter().cloned())).drops(rows)
    }

    #[test]
    fn a_policy_is_the_only_one() {
        let rules = [rule("input", 0, "policy drop", None), rule("input", 4, "counter drop", Some(10))];
        assert_snapshot!(made(&rules).told(&CHECK));
    }

    #[test]
    fn one_of_several() {
        let rules = [rule("input", 0, "policy drop", None), rule("input", 4, "", None)];
        let findings = made(&rules).check(&CHECK).unwrap();
        assert!(findings[0].cause.starts_with("2 rules"), "{findings:?}");
        assert_eq!(
            findings[0].remedies[0].now,
            ["netdrop watch --rules --reason NETFILTER_DROP --duration 10s"]
        );
    }

    #[test]
    fn no_rule_at_all() {
        assert_eq!(made(&[]).check(&CHECK).unwrap()[0].subject, "netfilter");
    }

    #[rstest::rstest]
    #[case::all(60)]
    #[case::nearly_all(52)]
    fn counted_drops_are_told_elsewhere(#[case] packets: u64) {
        assert_eq!(made(&[rule("input", 4, "counter drop", Some(packets))]).check(&CHECK), Ok(Vec::new()));
    }
}
