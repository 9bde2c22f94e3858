//! What to do about a rule that drops: look at it, and if it takes what it shouldn't, take it out.

use super::named;
use crate::counters::rule::{Rule, RuleId};
use crate::doctor::{Finding, Remedy, Window};
use crate::model::RuleSystem;

/// The finding with a command to see the rule among its neighbours, and one that ends its drops.
pub fn for_rule(window: &Window, finding: Finding, rule: &Rule) -> Finding {
    let [look, undo] = commands(rule);
    let what = match rule.key.id {
        RuleId::Policy => "If it takes what it shouldn't: let through what no rule of the chain takes.",
        _ => "If it takes what it shouldn't: take it out, or put a rule that accepts in front of it.",
    };
    finding
        .remedy(Remedy::command(format!("See the {} among the others of its chain.", named(rule)), look).inside(window))
        .remedy(
            Remedy::command(what, undo)
                .inside(window)
                .kept_by("change it where it is written: /etc/nftables.conf, firewalld, ufw, iptables-persistent, Docker, Kubernetes"),
        )
        .caution("A rule is somebody's will: ask whose it is. Without it, what it kept out comes in.")
}

/// Looking at it, and undoing it.
fn commands(rule: &Rule) -> [String; 2] {
    let key = &rule.key;
    let chain = format!("{} {} {}", key.family, key.table, key.chain);
    match (key.system, &key.id) {
        (RuleSystem::Nft, RuleId::Handle(handle)) => {
            [format!("nft -a list chain {chain}"), format!("nft delete rule {chain} handle {handle}")]
        }
        (RuleSystem::Nft, RuleId::Policy) => {
            [format!("nft -a list chain {chain}"), format!("nft 'chain {chain} {{ policy accept; }}'")]
        }
        (system, id) => {
            let six = if key.family == "ip6" { "6" } else { "" };
            let variant = if system == RuleSystem::Nft { "nft" } else { "legacy" };
            let tool = format!("ip{six}tables-{variant} -w -t {}", key.table);
            let undo = match id {
                // As it was written, with another letter: its place may change meanwhile.
                RuleId::Text(text, _) => format!("{tool} -D {}", text.trim_start_matches("-A ")),
                _ => format!("{tool} -P {} ACCEPT", key.chain),
            };
            [format!("{tool} -nvL {} --line-numbers", key.chain), undo]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rule;
    use super::*;

    #[rstest::rstest]
    #[case::nft(RuleSystem::Nft, "ip", RuleId::Handle(7), "nft delete rule ip filter input handle 7")]
    #[case::nft_policy(
        RuleSystem::Nft,
        "ip",
        RuleId::Policy,
        "nft 'chain ip filter input { policy accept; }'"
    )]
    #[case::iptables(
        RuleSystem::Iptables, "ip", RuleId::Text("-A INPUT -p udp -j DROP".into(), 1),
        "iptables-legacy -w -t filter -D INPUT -p udp -j DROP"
    )]
    #[case::iptables_policy(
        RuleSystem::Ip6tables,
        "ip6",
        RuleId::Policy,
        "ip6tables-legacy -w -t filter -P input ACCEPT"
    )]
    #[case::iptables_of_nft(
        RuleSystem::Nft, "ip6", RuleId::Text("-A INPUT -j DROP".into(), 1),
        "ip6tables-nft -w -t filter -D INPUT -j DROP"
    )]
    fn each_tool_has_its_command(
        #[case] system: RuleSystem,
        #[case] family: &str,
        #[case] id: RuleId,
        #[case] undo: &str,
    ) {
        let mut rule = rule("input", 1, "", None);
        (rule.key.system, rule.key.family, rule.key.id) = (system, family.into(), id);
        assert_eq!(commands(&rule)[1], undo);
    }
}
