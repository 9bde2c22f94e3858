//! `netfilter-rule-drops`: rules and policies whose own counters say that they dropped packets.

use std::cmp::Reverse;

use super::{DROPPED, moved, named, remedies};
use crate::counters::firewall::Firewall;
use crate::counters::rule::Rule;
use crate::doctor::parts::Counters;
use crate::doctor::{
    Area, Certainty, Check, Evidence, Finding, Moved, Part as _, Scope, Severity, Unread, Window, source,
};
use crate::model::RuleVerdict;
use crate::units::counted;

pub const CHECK: Check = Check {
    name: "netfilter-rule-drops",
    area: Area::Netfilter,
    scope: Scope::Netns,
    needs: &[source::<Firewall>(), source::<Counters>()],
    run,
};

/// A firewall may have thousands of rules: those that dropped most are told.
const MOST: usize = 10;
/// Hooks where packets of this host's own programs, or of its containers, are.
const OWN: [&str; 2] = ["output", "forward"];

fn run(window: &Window) -> Result<Vec<Finding>, Unread> {
    let (before, after) = window.both::<Firewall>()?;
    let mut rules = moved(window, before, after);
    rules.sort_by_key(|(_, moved)| Reverse(moved.by()));
    rules.truncate(MOST);
    Ok(rules.into_iter().map(|(rule, moved)| finding(window, rule, moved)).collect())
}

fn finding(window: &Window, rule: &Rule, moved: Moved) -> Finding {
    let count = moved.by();
    let did = match rule.verdict {
        RuleVerdict::Reject => "rejected",
        _ => "dropped",
    };
    let hooks: Vec<&str> = rule.hooks.iter().map(String::as_str).collect();
    let (at, words) = (if hooks.is_empty() { "?".into() } else { hooks.join(" ") }, words(rule));
    let finding = Finding::new(
        severity(window, rule, count),
        named(rule),
        format!("`{words}` {did} {}.", counted(count, "packet", "packets")),
    )
    .losing(moved.rate)
    .shown_by([moved])
    .shown_by([Evidence::value("rule", words, Firewall::FROM), Evidence::value("hooks", at, Firewall::FROM)])
    .shown_by(window.drops_of(&DROPPED))
    .explains(&DROPPED)
    .because(Certainty::Certain, "It does what it says. Whether that is what was meant, nothing here tells.");
    remedies::for_rule(window, finding, rule)
}

/// To keep strangers' packets out is what firewalls are for; what this host or its containers send is missed by somebody.
fn severity(window: &Window, rule: &Rule, count: u64) -> Severity {
    if !OWN.iter().any(|hook| rule.hooks.contains(*hook) || rule.hook.as_deref() == Some(hook)) {
        return Severity::Info;
    }
    let sent = [("Ip", "OutRequests"), ("Ip", "ForwDatagrams"), ("Ip6", "OutRequests")];
    let passed =
        sent.iter().filter_map(|(group, name)| window.delta(group, name).ok()).map(|moved| moved.by()).sum();
    Severity::of_loss(count, passed).min(Severity::Warning)
}

/// As its tool writes it; a rule that only its handle is known of has none.
fn words(rule: &Rule) -> String {
    if rule.text.is_empty() { named(rule) } else { rule.text.clone() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::tests::{firewall, rule};
    use super::*;
    use crate::doctor::made::{Made, row};

    fn made(before: impl IntoIterator<Item = Rule>, after: impl IntoIterator<Item = Rule>) -> Made {
        let counters = |sent| Counters::from([("Ip", "OutRequests", sent)]);
        Made::default().part(firewall(before), firewall(after)).part(counters(0), counters(900))
    }

    #[test]
    fn a_rule_is_named_with_its_words() {
        let of = |packets| rule("output", 7, "udp dport 53 counter drop", Some(packets));
        let rows = vec![row("NETFILTER_DROP", "nft_do_chain", "eth0", 60)];
        assert_snapshot!(made([of(5)], [of(65)]).drops(rows).told(&CHECK));
    }

    #[rstest::rstest]
    #[case("input", Severity::Info)]
    #[case("forward", Severity::Warning)]
    fn strangers_are_kept_out(#[case] hook: &str, #[case] severity: Severity) {
        let findings = made([], [rule(hook, 3, "drop", Some(500))]).check(&CHECK).unwrap();
        assert_eq!(findings[0].severity, severity);
        assert_eq!(findings[0].subject, format!("rule with handle 3 of inet filter {hook}"));
    }

    #[test]
    fn counters_that_stand_still_tell_nothing() {
        let of = |packets| rule("input", 7, "drop", packets);
        assert_eq!(made([of(Some(5))], [of(Some(5))]).check(&CHECK), Ok(Vec::new()));
        assert_eq!(made([of(None)], [of(None)]).check(&CHECK), Ok(Vec::new()));
    }

    #[test]
    fn the_first_of_many_are_told() {
        let rules = (1..30).map(|number| rule("input", number, "drop", Some(number)));
        let findings = made([], rules).check(&CHECK).unwrap();
        assert_eq!((findings.len(), findings[0].rate), (MOST, 5.8));
    }
}
