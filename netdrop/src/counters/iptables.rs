//! The rules of iptables that drop, from `iptables-save -c` and `ip6tables-save -c` (iptables-save(8)).

use std::collections::HashMap;

use super::chains::{Chains, Hooks};
use super::rule::{Count, Rule, RuleId, RuleKey};
use crate::model::{Counts, RuleSystem, RuleVerdict};

/// A line that `iptables-save -c` doesn't write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the listing is no rule: `{text}`; was it made by `iptables-save -c`?")]
pub struct IptablesError {
    /// Which line, the first is 1.
    pub line: usize,
    /// What it says.
    pub text: String,
}

/// A listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    /// Whether the rules are nftables' own, written by iptables-nft: `nft` lists them too.
    pub is_nft: bool,
    /// The rules and policies that drop.
    pub rules: Vec<Rule>,
}

/// Which of the two tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// iptables.
    V4,
    /// ip6tables.
    V6,
}

impl Version {
    fn system(self) -> RuleSystem {
        match self {
            Self::V4 => RuleSystem::Iptables,
            Self::V6 => RuleSystem::Ip6tables,
        }
    }

    fn family(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

/// Reads a listing.
pub fn saved(listing: &str, version: Version) -> Result<Saved, IptablesError> {
    let mut saved = Saved::default();
    let mut table = "";
    let mut positions: HashMap<(&str, &str), u32> = HashMap::new();
    let mut same: HashMap<(&str, &str), u32> = HashMap::new();
    let mut chains = Chains::default();
    for (index, line) in listing.lines().enumerate() {
        let wrong = || IptablesError { line: index + 1, text: line.chars().take(60).collect() };
        match line.bytes().next() {
            None => {}
            Some(b'#') => saved.is_nft |= line.contains("(nf_tables)"),
            Some(b'*') => table = &line[1..],
            Some(b':') => {
                let (chain, policy, counts) = policy(&line[1..]).ok_or_else(wrong)?;
                if let Some(hook) = hook(chain) {
                    chains.hang((table, chain), &hook);
                }
                if policy == "DROP" {
                    let key = key(version, table, chain, RuleId::Policy);
                    saved.rules.push(Rule {
                        key,
                        position: None,
                        hook: hook(chain),
                        hooks: Hooks::new(),
                        text: format!("-P {chain} DROP"),
                        verdict: RuleVerdict::Policy,
                        count: Count::Dropped(counts),
                    });
                }
            }
            Some(b'[') => {
                let (counts, text) = counted(line).ok_or_else(wrong)?;
                let words = words(text);
                let chain = after(&words, "-A").ok_or_else(wrong)?;
                let position = positions.entry((table, chain)).or_default();
                *position += 1;
                for target in ["-j", "-g"].into_iter().filter_map(|option| after(&words, option)) {
                    chains.jump((table, chain), (table, target));
                }
                if let Some(verdict) = verdict(&words) {
                    let nth = same.entry((table, text)).or_default();
                    *nth += 1;
                    saved.rules.push(Rule {
                        key: key(version, table, chain, RuleId::Text(text.to_owned(), *nth)),
                        position: Some(*position),
                        hook: hook(chain),
                        hooks: Hooks::new(),
                        text: text.to_owned(),
                        verdict,
                        count: Count::Dropped(counts),
                    });
                }
            }
            Some(_) if line == "COMMIT" => {}
            Some(_) => return Err(wrong()),
        }
    }
    let reached = chains.reached();
    for rule in &mut saved.rules {
        let hooks = reached.get(&(rule.key.table.as_str(), rule.key.chain.as_str()));
        rule.hooks = hooks.cloned().unwrap_or_default();
    }
    Ok(saved)
}

fn key(version: Version, table: &str, chain: &str, id: RuleId) -> RuleKey {
    RuleKey {
        system: version.system(),
        family: version.family().into(),
        table: table.into(),
        chain: chain.into(),
        id,
    }
}

/// The built-in chains are called as their hooks.
fn hook(chain: &str) -> Option<String> {
    const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
    BUILT_IN.contains(&chain).then(|| chain.to_ascii_lowercase())
}

/// `INPUT DROP [12:720]`
fn policy(line: &str) -> Option<(&str, &str, Counts)> {
    let (chain, rest) = line.split_once(' ')?;
    let (policy, brackets) = rest.split_once(' ')?;
    Some((chain, policy, counted(brackets)?.0))
}

/// `[12:720] rest`
fn counted(line: &str) -> Option<(Counts, &str)> {
    let (counts, rest) = line.strip_prefix('[')?.split_once(']')?;
    let (packets, bytes) = counts.split_once(':')?;
    Some((Counts { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? }, rest.trim_start()))
}

/// The words of a rule. One in quotes (with backslashes before quotes) is no option, whatever it says.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = if rest.starts_with('"') { quoted_end(rest) } else { rest.find(' ').unwrap_or(rest.len()) };
        words.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    words
}

/// Behind the closing quote, or the end.
fn quoted_end(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn after<'a>(words: &[&'a str], option: &str) -> Option<&'a str> {
    let index = words.iter().position(|word| *word == option)?;
    words.get(index + 1).copied()
}

fn verdict(words: &[&str]) -> Option<RuleVerdict> {
    match after(words, "-j")? {
        "DROP" => Some(RuleVerdict::Drop),
        "REJECT" => Some(RuleVerdict::Reject),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEGACY: &str = include_str!("../../tests/fixtures/rules/iptables-legacy-save.txt");
    const LEGACY_V6: &str = include_str!("../../tests/fixtures/rules/ip6tables-legacy-save.txt");
    const NFT: &str = include_str!("../../tests/fixtures/rules/iptables-nft-save.txt");

    fn lines(listing: &str, version: Version) -> String {
        let saved = saved(listing, version).unwrap();
        let lines = saved.rules.iter().map(|rule| {
            let RuleKey { family, table, chain, .. } = &rule.key;
            let counts = rule.count.counts().unwrap();
            let position = rule.position.unwrap_or(0);
            let hook = rule.hook.as_deref().unwrap_or("-");
            let Counts { packets, bytes } = counts;
            format!(
                "{family} {table} {chain} {hook} #{position} {:?} {packets}:{bytes} {}",
                rule.verdict, rule.text
            )
        });
        format!("nft: {}\n{}", saved.is_nft, lines.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn the_legacy_tool() {
        insta::assert_snapshot!(lines(LEGACY, Version::V4), @r#"
        nft: false
        ip raw PREROUTING prerouting #1 Drop 0:0 -A PREROUTING -p udp -m udp --dport 32 -j DROP
        ip filter OUTPUT output #0 Policy 1:29 -P OUTPUT DROP
        ip filter INPUT input #1 Drop 3:87 -A INPUT -p udp -m udp --dport 30 -j DROP
        ip filter INPUT input #2 Reject 0:0 -A INPUT -p udp -m udp --dport 31 -m comment --comment "two \"words\"" -j REJECT --reject-with icmp-port-unreachable
        ip filter CUSTOM - #1 Drop 0:0 -A CUSTOM -s 10.0.0.0/8 -j DROP
        "#);
    }

    #[test]
    fn the_legacy_tool_for_ipv6() {
        insta::assert_snapshot!(lines(LEGACY_V6, Version::V6), @r"
        nft: false
        ip6 filter INPUT input #1 Drop 0:0 -A INPUT -p udp -m udp --dport 33 -j DROP
        ");
    }

    #[test]
    fn the_tool_on_nftables() {
        insta::assert_snapshot!(lines(NFT, Version::V4), @r#"
        nft: true
        ip filter FORWARD forward #0 Policy 0:0 -P FORWARD DROP
        ip filter INPUT input #1 Drop 2:58 -A INPUT -p udp -m udp --dport 20 -m comment --comment "nft variant" -j DROP
        ip filter INPUT input #2 Reject 0:0 -A INPUT -p udp -m udp --dport 21 -j REJECT --reject-with icmp-port-unreachable
        "#);
    }

    /// A comment may say anything.
    #[rstest::rstest]
    #[case(r#"[1:2] -A INPUT -m comment --comment "x -j DROP" -j ACCEPT"#, None)]
    #[case(r#"[1:2] -A INPUT -m comment --comment "\" -j DROP" -j ACCEPT"#, None)]
    #[case(r#"[1:2] -A INPUT -m comment --comment "-j ACCEPT" -j DROP"#, Some(RuleVerdict::Drop))]
    #[case("[1:2] -A INPUT -j CHAIN", None)]
    #[case("[1:2] -A INPUT", None)]
    fn the_target_is_the_verdict(#[case] line: &str, #[case] verdict: Option<RuleVerdict>) {
        let rules = saved(line, Version::V4).unwrap().rules;
        assert_eq!(rules.first().map(|rule| rule.verdict), verdict);
    }

    #[test]
    fn a_chain_is_reached_from_the_hooks_that_lead_to_it() {
        let listing = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n\
            [0:0] -A INPUT -j A\n[0:0] -A FORWARD -g B\n[0:0] -A A -p udp -j B\n\
            [0:0] -A A -j DROP\n[0:0] -A B -j DROP\n[0:0] -A INPUT -j DROP\n\
            *raw\n:A - [0:0]\n[0:0] -A A -j DROP\n";
        let rules = saved(listing, Version::V4).unwrap().rules;
        let hooks = |rule: &Rule| rule.hooks.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let reached: Vec<String> = rules.iter().map(hooks).collect();
        assert_eq!(reached, ["input", "forward input", "input", ""]);
    }

    #[test]
    fn equal_rules_are_told_apart() {
        let rule = "[1:2] -A INPUT -j DROP\n";
        let ids: Vec<RuleId> =
            saved(&rule.repeat(2), Version::V4).unwrap().rules.into_iter().map(|rule| rule.key.id).collect();
        assert_eq!(ids, [1, 2].map(|nth| RuleId::Text("-A INPUT -j DROP".into(), nth)));
    }

    #[rstest::rstest]
    #[case::a_message("*filter\niptables-save: permission denied", 2)]
    #[case::no_counters("*filter\n:INPUT ACCEPT\n", 2)]
    #[case::a_count_that_is_none("[x:1] -A INPUT -j DROP", 1)]
    #[case::no_chain("[1:1] -j DROP", 1)]
    fn anything_else_is_an_error(#[case] listing: &str, #[case] line: usize) {
        assert_eq!(saved(listing, Version::V4).unwrap_err().line, line);
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(lines in proptest::collection::vec("\\*\\PC{0,5}|:\\PC{0,9}|\\[[0-9]{1,3}:[0-9]{1,3}\\] -A \\PC{0,20}|#\\PC{0,9}|\\PC{0,9}", 0..9)) {
            let _ = saved(&lines.join("\n"), Version::V6);
        }
    }
}
