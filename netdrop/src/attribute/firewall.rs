//! Which rules of nftables and iptables dropped.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::settle::{Growth, Settled, Suspect, settle};
use super::{Cause, Window};
use crate::counters::rule::{Count, Rule, RuleId, RuleKey};
use crate::model::{
    Attribution, Certainty, Counts, Family, Framework, RuleHit, RuleSystem, TableFamily, Verdict,
};
use crate::order::InOrder as _;
use crate::units::thousands;

/// Drops that the same rules can have made.
#[derive(Debug)]
struct Kind {
    /// The packets' family, where it is IP.
    family: Option<Family>,
    /// Where they were decided: each of these places, and no other, as far as their details tell.
    verdicts: BTreeSet<Verdict>,
    packets: u64,
    /// Whether some had no details, which may have been decided elsewhere.
    sampled: bool,
}

/// A rule that may have dropped.
struct Moved<'a> {
    rule: &'a Rule,
    growth: Growth,
    /// Which kinds of drops it can have made.
    kinds: Vec<usize>,
}

/// Adds the rules, and a note for what they don't explain.
pub fn attribute(window: &Window<'_>, attribution: &mut Attribution) {
    let kinds = kinds(window);
    if kinds.is_empty() {
        return;
    }
    let moved = moved(window, &kinds);
    let mut hits = Vec::new();
    let mut unexplained = 0;
    let suspect = |one: &Moved<'_>, possible| {
        let hit = hit(one.rule, window);
        Suspect { hit, possible, growth: one.growth }
    };
    for group in groups(kinds.len(), &moved) {
        let drops = group.iter().map(|kind| kinds[*kind].packets).sum();
        let suspects = moved.iter().filter(|one| one.kinds.iter().any(|kind| group.contains(kind)));
        let possible = |one: &Moved<'_>| one.kinds.iter().map(|kind| kinds[*kind].packets).sum();
        let settled = settle(drops, suspects.map(|one| suspect(one, possible(one))).collect());
        hits.extend(settled.hits);
        unexplained += settled.unexplained;
    }
    if unexplained > 0 && kinds.iter().any(|kind| kind.sampled) {
        // What a sample of details has not met: rules elsewhere that counted drops of their own.
        let elsewhere = moved.iter().filter(|one| one.kinds.is_empty());
        let counted = elsewhere.filter(|one| matches!(one.growth, Growth::Dropped(..)));
        let settled = settle(unexplained, counted.map(|one| suspect(one, unexplained)).collect());
        hits.extend(settled.hits);
        unexplained = settled.unexplained;
    }
    if unexplained > 0 {
        note(unexplained, window, attribution);
    }
    hits.order_by_key(Settled::order);
    attribution.rules.extend(hits);
}

/// The drops by netfilter, those together that no rule tells apart.
fn kinds(window: &Window<'_>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for one in window.drops.iter().filter(|one| one.cause == Cause::Netfilter && one.packets > 0) {
        let verdicts: BTreeSet<Verdict> = one.split.shares.keys().copied().collect();
        let same = |kind: &&mut Kind| kind.family == one.family && kind.verdicts == verdicts;
        if let Some(kind) = kinds.iter_mut().find(same) {
            kind.packets += one.packets;
            kind.sampled |= one.split.sampled;
        } else {
            let (packets, sampled) = (one.packets, one.split.sampled);
            kinds.push(Kind { family: one.family, verdicts, packets, sampled });
        }
    }
    kinds
}

/// The rules that dropped, or don't count.
fn moved<'a>(window: &Window<'a>, kinds: &[Kind]) -> Vec<Moved<'a>> {
    let before: HashMap<&RuleKey, Count> =
        window.before.firewall.rules.iter().map(|rule| (&rule.key, rule.count)).collect();
    let moved = window.after.firewall.rules.iter().map(|rule| {
        let growth = growth(rule.count, before.get(&rule.key).copied());
        let kinds = (0..kinds.len()).filter(|kind| fits(rule, &kinds[*kind])).collect();
        Moved { rule, growth, kinds }
    });
    moved.filter(|one| !matches!(one.growth, Growth::Dropped(0, _) | Growth::Passed(0, _))).collect()
}

/// Kinds that share a rule belong together: its one counter counts all of them. Others are settled each for itself.
fn groups(kinds: usize, moved: &[Moved<'_>]) -> Vec<BTreeSet<usize>> {
    let mut groups: Vec<BTreeSet<usize>> = (0..kinds).map(|kind| BTreeSet::from([kind])).collect();
    for one in moved {
        let (joined, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| one.kinds.iter().any(|kind| group.contains(kind)));
        groups = apart;
        groups.extend((!joined.is_empty()).then(|| joined.into_iter().flatten().collect()));
    }
    groups
}

/// Whether the rule can have made these drops.
fn fits(rule: &Rule, kind: &Kind) -> bool {
    let family = match (rule.key.family.as_str(), kind.family) {
        ("ip", family) => family == Some(Family::Ipv4),
        ("ip6", family) => family == Some(Family::Ipv6),
        ("inet", family) => matches!(family, Some(Family::Ipv4 | Family::Ipv6)),
        ("arp", family) => family == Some(Family::Arp),
        _ => true,
    };
    // Without any verdict it isn't known where they were decided.
    let mut places = kind.verdicts.iter();
    family && (kind.verdicts.is_empty() || places.any(|verdict| is_at(rule, *verdict)))
}

/// Whether the rule is where the verdict was given, as far as that is known.
fn is_at(rule: &Rule, verdict: Verdict) -> bool {
    let key = &rule.key;
    let hook = verdict.hook.is_none_or(|hook| rule.hooks.is_empty() || rule.hooks.contains(hook.as_str()));
    let framework = match verdict.framework {
        Some(Framework::Nftables) => key.system == RuleSystem::Nft,
        Some(Framework::Xtables) => key.system != RuleSystem::Nft,
        None => true,
    };
    let family = verdict.family.is_none_or(|family| {
        use TableFamily::{Ip, Ip6, Netdev};
        // Tables of `inet` hang on these hooks too.
        let or_inet = verdict.framework.is_none() && matches!(family, Ip | Ip6 | Netdev);
        key.family == family.as_str() || (or_inet && key.family == "inet")
    });
    let table = verdict.table.is_none_or(|table| key.table == table.as_str());
    hook && framework && family && table
}

fn note(unexplained: u64, window: &Window<'_>, attribution: &mut Attribution) {
    let (drops, place) = (thousands(unexplained), window.place());
    attribution
        .notes
        .push(format!("netns {place}: {drops} drops by netfilter fit no rule's counter{}.", gone(window)));
    attribution.notes.extend(window.after.firewall.notes.iter().cloned());
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
