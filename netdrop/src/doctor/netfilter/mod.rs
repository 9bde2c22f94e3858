//! Rules of firewalls.

mod counted;
mod remedies;
mod uncounted;

use std::collections::HashMap;
use std::path::Path;

use super::{Check, Moved, Part, Place, Unread, Window};
use crate::counters::firewall::{self, Firewall};
use crate::counters::rule::{Count, Rule, RuleKey};

pub const CHECKS: &[Check] = &[counted::CHECK, uncounted::CHECK];

/// What netfilter drops by: the reason, and the functions of kernels without (`nf_hook_slow`, net/netfilter/core.c).
const DROPPED: [&str; 2] = ["NETFILTER_DROP", "nf_hook_slow"];

impl Part for Firewall {
    const FROM: &'static str = "nft list ruleset, iptables-save -c";

    fn read(place: &Place) -> Result<Self, Unread> {
        if would_load(place) {
            return Ok(Self::default());
        }
        let firewall = firewall::read(true);
        // Some rules are better than none; none and a note may be all of them.
        if firewall.rules.is_empty() && !firewall.notes.is_empty() {
            return Err(Unread::new(Self::FROM, firewall.notes.concat()));
        }
        Ok(firewall)
    }
}

/// Whether to ask for rules would load nftables' module, which changes the host: while it isn't there, there are no rules, and no
/// rules of iptables-legacy either where its tables aren't loaded.
fn would_load(place: &Place) -> bool {
    let is_loaded = |name: &str| {
        let modules = place.text("/proc/modules");
        modules.map_or(true, |modules| modules.lines().any(|line| line.split(' ').next() == Some(name)))
    };
    let release = place.text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let folder = place.path(&format!("/lib/modules/{}/kernel/net/netfilter", release.trim()));
    let is_module = |folder: &Path| {
        ["ko", "ko.xz", "ko.zst", "ko.gz"].iter().any(|end| folder.join(format!("nf_tables.{end}")).exists())
    };
    let has_legacy = ["ip_tables_names", "ip6_tables_names"]
        .into_iter()
        .any(|name| place.net(name).is_ok_and(|names| !names.is_empty()));
    is_module(&folder) && !is_loaded("nf_tables") && !has_legacy
}

/// The rules whose own counters moved, and how.
fn moved<'w>(window: &Window, before: &Firewall, after: &'w Firewall) -> Vec<(&'w Rule, Moved)> {
    let known: HashMap<&RuleKey, Count> = before.rules.iter().map(|rule| (&rule.key, rule.count)).collect();
    let moved = |rule: &'w Rule| {
        let Count::Dropped(now) = rule.count else { return None };
        let was = known.get(&rule.key).and_then(|count| count.counts()).unwrap_or_default();
        let moved = window.moved("packets of the rule", (was.packets, now.packets), read_from(rule));
        (moved.by() > 0).then_some((rule, moved))
    };
    after.rules.iter().filter_map(moved).collect()
}

/// Which tool tells a rule's counter.
fn read_from(rule: &Rule) -> &'static str {
    use crate::counters::rule::RuleId;
    use crate::model::RuleSystem;
    match (rule.key.system, &rule.key.id) {
        (RuleSystem::Nft, RuleId::Handle(_) | RuleId::Policy) => "nft list ruleset",
        _ => "iptables-save -c",
    }
}

/// `rule 7 of ip filter INPUT`, `policy of ip filter INPUT`.
fn named(rule: &Rule) -> String {
    use crate::counters::rule::RuleId;
    let key = &rule.key;
    let chain = format!("{} {} {}", key.family, key.table, key.chain);
    match (&key.id, rule.position) {
        (RuleId::Handle(handle), _) => format!("rule with handle {handle} of {chain}"),
        (RuleId::Text(..), Some(position)) => format!("rule {position} of {chain}"),
        _ => format!("policy of {chain}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::counters::chains::Hooks;
    use crate::counters::rule::RuleId;
    use crate::made_up;
    use crate::model::{Counts, RuleSystem, RuleVerdict};

    /// A rule of nftables: its hook, handle (0: the policy), words, and what it counted.
    pub fn rule(hook: &str, handle: u64, text: &str, packets: Option<u64>) -> Rule {
        let id = if handle == 0 { RuleId::Policy } else { RuleId::Handle(handle) };
        let [family, table, chain] = ["inet", "filter", hook].map(str::to_owned);
        Rule {
            key: RuleKey { system: RuleSystem::Nft, family, table, chain, id },
            position: (handle > 0).then_some(1),
            hook: Some(hook.into()),
            hooks: Hooks::from([hook.to_owned()]),
            text: text.into(),
            verdict: if handle == 0 { RuleVerdict::Policy } else { RuleVerdict::Drop },
            count: packets
                .map_or(Count::None, |packets| Count::Dropped(Counts { packets, bytes: packets * 60 })),
        }
    }

    pub fn firewall(rules: impl IntoIterator<Item = Rule>) -> Firewall {
        Firewall { rules: rules.into_iter().collect(), notes: Vec::new() }
    }

    #[test]
    fn no_module_is_loaded_by_asking() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::new(root.path());
        let file = |path: &str, text: &str| made_up::file(root.path(), path, text);
        assert!(!would_load(&place), "it may be built in");
        file("proc/sys/kernel/osrelease", "6.1.0-9\n");
        file("proc/modules", "x_tables 45056 0 - Live 0x0\n");
        assert!(!would_load(&place));
        file("lib/modules/6.1.0-9/kernel/net/netfilter/nf_tables.ko.xz", "");
        assert!(would_load(&place));
        assert_eq!(Firewall::read(&place), Ok(Firewall::default()));
        file("proc/thread-self/net/ip_tables_names", "filter\n");
        assert!(!would_load(&place), "iptables-legacy has rules");
        file("proc/thread-self/net/ip_tables_names", "");
        file("proc/modules", "nf_tables 1 0 - Live 0x0\n");
        assert!(!would_load(&place));
    }
}
