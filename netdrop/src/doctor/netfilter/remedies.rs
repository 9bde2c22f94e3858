//! What to do about a rule that drops: look at it, and if it takes what it shouldn't, take it out.

use super::named;
use crate::counters::rule::{Rule, RuleId};
use crate::doctor::shell::shell;
use crate::doctor::{Finding, Remedy, Window};
use crate::model::RuleSystem;

const KEPT: &str = "change it where it is written: /etc/nftables.conf, firewalld, ufw, iptables-persistent, Docker, Kubernetes";

/// The finding with a command to see the rule among its neighbours, and one that ends its drops.
pub fn for_rule(window: &Window, finding: Finding, rule: &Rule) -> Finding {
    let finding =
        finding.caution("A rule is somebody's will: ask whose it is. Without it, what it kept out comes in.");
    let Some([look, undo]) = commands(rule) else {
        return finding.remedy(Remedy::advice("nft has no way to write this chain's name, which another program chose: have that program change it."));
    };
    let what = match rule.key.id {
        RuleId::Policy => "If it takes what it shouldn't: let through what no rule of the chain takes.",
        _ => "If it takes what it shouldn't: take it out, or put a rule that accepts in front of it.",
    };
    finding
        .remedy(
            Remedy::command(format!("See the {} among the others of its chain.", named(rule)), look)
                .inside(window),
        )
        .remedy(Remedy::command(what, undo).inside(window).kept_by(KEPT))
}

/// Looking at it, and undoing it; none where nft would read something else.
fn commands(rule: &Rule) -> Option<[String; 2]> {
    let key = &rule.key;
    let chain = format!("{} {} {}", key.family, key.table, key.chain);
    let is_named = [&key.table, &key.chain].into_iter().all(|name| is_identifier(name));
    Some(match (key.system, &key.id) {
        (RuleSystem::Nft, RuleId::Handle(_) | RuleId::Policy) if !is_named => return None,
        (RuleSystem::Nft, RuleId::Handle(handle)) => {
            [format!("nft -a list chain {chain}"), format!("nft delete rule {chain} handle {handle}")]
        }
        (RuleSystem::Nft, RuleId::Policy) => {
            [format!("nft -a list chain {chain}"), format!("nft 'chain {chain} {{ policy accept; }}'")]
        }
        (system, id) => {
            let six = if key.family == "ip6" { "6" } else { "" };
            let variant = if system == RuleSystem::Nft { "nft" } else { "legacy" };
            let tool = format!("ip{six}tables-{variant} -w -t {}", shell(&key.table));
            let chain = shell(&key.chain);
            let undo = match id {
                // As it was written, with another letter: its place may change meanwhile.
                RuleId::Text(text, _) => format!("{tool} -D {}", for_a_shell(text.trim_start_matches("-A "))),
                _ => format!("{tool} -P {chain} ACCEPT"),
            };
            [format!("{tool} -nvL {chain} --line-numbers"), undo]
        }
    })
}

/// What nft reads as a name (`string`, src/scanner.l of nftables). It joins its arguments: a shell's quotes don't keep a name in one piece.
fn is_identifier(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && name.bytes().all(is_inner)
}

/// A rule of iptables-save, each word quoted for a shell.
fn for_a_shell(rule: &str) -> String {
    words(rule).iter().map(|word| shell(word)).collect::<Vec<_>>().join(" ")
}

/// Its words: blanks are between them but within double quotes, where a backslash takes the next as it is
/// (`xtables_save_string`, libxtables/xtables.c of iptables).
fn words(rule: &str) -> Vec<String> {
    let (mut words, mut is_quoted, mut is_apart) = (Vec::<String>::new(), false, true);
    let mut rest = rule.chars();
    while let Some(mut one) = rest.next() {
        if one == ' ' && !is_quoted {
            is_apart = true;
            continue;
        }
        if is_apart {
            words.push(String::new());
            is_apart = false;
        }
        if one == '"' {
            is_quoted = !is_quoted;
            continue;
        }
        if one == '\\' && is_quoted {
            one = rest.next().unwrap_or(one);
        }
        words.last_mut().into_iter().for_each(|word| word.push(one));
    }
    words
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
        assert_eq!(commands(&rule).unwrap()[1], undo);
    }

    #[rstest::rstest]
    #[case(
        "INPUT ! -s 10.0.0.0/8 -p tcp --dports 80,443 -j DROP",
        "INPUT ! -s 10.0.0.0/8 -p tcp --dports 80,443 -j DROP"
    )]
    #[case(r#"INPUT --comment "don\'t $(id)" -j DROP"#, r"INPUT --comment 'don'\''t $(id)' -j DROP")]
    #[case(r#"X --comment "a \" \\ b" --comment """#, r#"X --comment 'a " \ b' --comment ''"#)]
    #[case("INPUT -i $(id);x -j DROP", "INPUT -i '$(id);x' -j DROP")]
    #[case(r#"INPUT --comment "open \"#, r"INPUT --comment 'open \'")]
    fn a_rule_is_quoted_anew(#[case] saved: &str, #[case] expected: &str) {
        assert_eq!(for_a_shell(saved), expected);
    }

    #[test]
    fn a_chain_that_nft_cant_name_has_no_command() {
        for name in ["x; flush ruleset", "x$(id)", r"a\b", "7", ""] {
            assert_eq!(commands(&rule(name, 7, "", None)), None, "{name}");
        }
        assert!(commands(&rule("DOCKER-ISOLATION-STAGE-1", 7, "", None)).is_some());
    }
}
