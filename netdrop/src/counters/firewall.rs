//! All rules of the caller's network namespace that drop, by whatever tool they were written.
//!
//! `nft` lists what is in nftables, iptables-nft's rules included. What iptables-legacy wrote lies in tables of its own,
//! and is asked for only where there are any: to ask may load a module.

use std::fs;

use super::command::{CommandError, output};
use super::iptables::{Saved, Version, saved};
use super::nft;
use super::nft_text::{Texts, texts};
use super::rule::{Rule, RuleId};
use crate::model::RuleSystem;

/// Who can list legacy rules: where the alternatives point to iptables-nft, the plain name lists what nft lists.
const LEGACY_TOOLS: [[&str; 2]; 2] =
    [["iptables-legacy-save", "iptables-save"], ["ip6tables-legacy-save", "ip6tables-save"]];
/// Who can list iptables-nft's rules where there is no `nft`.
const NFT_TOOLS: [[&str; 2]; 2] =
    [["iptables-nft-save", "iptables-save"], ["ip6tables-nft-save", "ip6tables-save"]];
/// The names of the legacy tables in use, one a line; of the thread's namespace, which may not be the process's.
const LEGACY_TABLES: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];
const VERSIONS: [Version; 2] = [Version::V4, Version::V6];

/// The rules that drop, and what couldn't be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firewall {
    /// The rules.
    pub rules: Vec<Rule>,
    /// One sentence for each tool that gave nothing.
    pub notes: Vec<String>,
}

/// Lists the rules; with `texts` nftables' have their words too, which takes a second run of `nft`.
pub fn read(with_texts: bool) -> Firewall {
    let mut firewall = Firewall::default();
    match output("nft", &["-j", "list", "ruleset"]) {
        Ok(json) => match nft::rules(&json) {
            Ok(rules) => firewall.rules = rules,
            Err(error) => firewall.notes.push(format!("{error}.")),
        },
        Err(error) => firewall.without_nft(&error),
    }
    if with_texts && firewall.rules.iter().any(|rule| rule.key.system == RuleSystem::Nft) {
        let listing = output("nft", &["-s", "-a", "list", "ruleset"]).unwrap_or_default();
        add_texts(&mut firewall.rules, &texts(&String::from_utf8_lossy(&listing)));
    }
    for (version, (tools, tables)) in VERSIONS.into_iter().zip(LEGACY_TOOLS.into_iter().zip(LEGACY_TABLES)) {
        let has_tables = fs::read(tables).is_ok_and(|names| !names.is_empty());
        if has_tables {
            firewall.take(listed(tools, version, false), tools[0]);
        }
    }
    firewall
}

impl Firewall {
    /// iptables-nft-save lists at least its own.
    fn without_nft(&mut self, error: &CommandError) {
        let how = match error {
            CommandError::Missing(_) => ": install nftables to have its rules named",
            _ => ": the rules of nftables can't be named",
        };
        self.notes.push(format!("{error}{how}."));
        for (version, tools) in VERSIONS.into_iter().zip(NFT_TOOLS) {
            if let Ok(Some(mut rules)) = listed(tools, version, true) {
                // They are nftables' own, whoever lists them.
                for rule in &mut rules {
                    rule.key.system = RuleSystem::Nft;
                }
                self.rules.extend(rules);
            }
        }
    }

    fn take(&mut self, rules: Result<Option<Vec<Rule>>, String>, tool: &str) {
        match rules {
            Ok(Some(rules)) => self.rules.extend(rules),
            Ok(None) => self.notes.push(format!("`{tool}` is not installed: there are rules that it wrote.")),
            Err(note) => self.notes.push(note),
        }
    }
}

/// The rules by the first of the tools that lists those wanted; nothing where none is there.
fn listed(tools: [&'static str; 2], version: Version, is_nft: bool) -> Result<Option<Vec<Rule>>, String> {
    for tool in tools {
        match output(tool, &["-c"]) {
            Err(CommandError::Missing(_)) => {}
            Err(error) => return Err(format!("{error}: its rules can't be named.")),
            Ok(listing) => match saved(&String::from_utf8_lossy(&listing), version) {
                Ok(Saved { is_nft: found, rules }) if found == is_nft => return Ok(Some(rules)),
                Ok(_) => {}
                Err(error) => return Err(format!("`{tool}`: {error}.")),
            },
        }
    }
    Ok(None)
}

fn add_texts(rules: &mut [Rule], texts: &Texts) {
    for rule in rules {
        let key = &rule.key;
        if let (RuleSystem::Nft, RuleId::Handle(handle)) = (key.system, &key.id)
            && let Some(text) = texts.get(&key.family, &key.table, &key.chain, *handle)
        {
            text.clone_into(&mut rule.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two listings are of one moment: each rule finds its words.
    #[test]
    fn every_rule_has_its_words() {
        let mut rules = nft::rules(include_bytes!("../../tests/fixtures/rules/nft.json")).unwrap();
        add_texts(&mut rules, &texts(include_str!("../../tests/fixtures/rules/nft.txt")));
        let lines: Vec<String> =
            rules.iter().map(|rule| format!("{:?}: {}", rule.key.id, rule.text)).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
