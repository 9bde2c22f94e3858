//! Which rules of nftables and iptables dropped.

use std::collections::{HashMap, HashSet};

use super::settle::{Growth, Suspect, settle};
use super::{Cause, Dropped, Window};
use crate::counters::rule::{Count, Rule, RuleId, RuleKey};
use crate::model::{Attribution, Certainty, Counts, Family, RuleHit};
use crate::units::thousands;

/// Adds the rules, and a note for what they don't explain.
pub fn attribute(window: &Window<'_>, attribution: &mut Attribution) {
    let drops: Vec<&Dropped> = window.drops.iter().filter(|one| one.cause == Cause::Netfilter).collect();
    let total: u64 = drops.iter().map(|one| one.packets).sum();
    if total == 0 {
        return;
    }
    let before: HashMap<&RuleKey, Count> =
        window.before.firewall.rules.iter().map(|rule| (&rule.key, rule.count)).collect();
    let suspects = window.after.firewall.rules.iter().map(|rule| {
        let possible = drops.iter().filter(|one| fits(rule, one)).map(|one| one.packets).sum();
        Suspect {
            hit: hit(rule, window),
            possible,
            growth: growth(rule.count, before.get(&rule.key).copied()),
        }
    });
    let settled = settle(total, suspects.collect());
    if settled.unexplained > 0 {
        let (drops, place) = (thousands(settled.unexplained), window.place());
        attribution.notes.push(format!(
            "netns {place}: {drops} drops by netfilter fit no rule's counter{}.",
            gone(window)
        ));
        attribution.notes.extend(window.after.firewall.notes.iter().cloned());
    }
    attribution.rules.extend(settled.hits);
}

/// Whether the rule can have seen these drops.
fn fits(rule: &Rule, drops: &Dropped) -> bool {
    let family = match (rule.key.family.as_str(), drops.family) {
        ("ip", family) => family == Some(Family::Ipv4),
        ("ip6", family) => family == Some(Family::Ipv6),
        ("inet", family) => matches!(family, Some(Family::Ipv4 | Family::Ipv6)),
        ("arp", family) => family == Some(Family::Arp),
        _ => true,
    };
    let hook = match (&rule.hook, &drops.hook) {
        (Some(of_rule), Some(of_drops)) => of_rule == of_drops,
        _ => true,
    };
    family && hook
}

/// A rule that wasn't there, or was reset, counts from zero.
fn growth(after: Count, before: Option<Count>) -> Growth {
    let Some(now) = after.counts() else { return Growth::Unknown };
    let earlier = before.and_then(Count::counts).filter(|earlier| earlier.packets <= now.packets);
    let Counts { packets, bytes } = now.since(earlier.unwrap_or_default());
    match after {
        Count::Passed(_) => Growth::Passed(packets, Some(bytes)),
        _ => Growth::Dropped(packets, Some(bytes)),
    }
}

/// Rules that were there at the start can't be asked any more.
fn gone(window: &Window<'_>) -> String {
    let there: HashSet<&RuleKey> = window.after.firewall.rules.iter().map(|rule| &rule.key).collect();
    let rules = window.before.firewall.rules.iter().filter(|rule| !there.contains(&rule.key)).count();
    match rules {
        0 => String::new(),
        rules => format!(", and {rules} of the rules at the start are gone"),
    }
}

fn hit(rule: &Rule, window: &Window<'_>) -> RuleHit {
    let RuleKey { system, family, table, chain, id } = &rule.key;
    let handle = match id {
        RuleId::Handle(handle) => Some(*handle),
        RuleId::Policy | RuleId::Text(..) => None,
    };
    RuleHit {
        system: *system,
        netns: Some(window.netns.clone()),
        family: Some(family.clone()),
        table: Some(table.clone()),
        chain: Some(chain.clone()),
        hook: rule.hook.clone(),
        handle,
        position: rule.position,
        device: None,
        direction: None,
        program: None,
        text: rule.text.clone(),
        verdict: rule.verdict,
        packets: None,
        bytes: None,
        drops: 0,
        certainty: Certainty::Candidate,
    }
}
