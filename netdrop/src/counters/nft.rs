//! The rules of nftables that drop, from `nft -j list ruleset` (libnftables-json(5)).

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::chains::{Chains, Hooks};
use super::rule::{Count, Rule, RuleId, RuleKey};
use crate::model::{Counts, RuleSystem, RuleVerdict};

/// The listing is not what libnftables-json(5) describes.
#[derive(Debug, thiserror::Error)]
#[error("nft's listing can't be read: {0}; is this nft too new or too old?")]
pub struct NftError(#[from] serde_json::Error);

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Item>,
}

/// One of them is there; kinds that can't drop are none of them.
#[derive(Deserialize)]
struct Item {
    chain: Option<Chain>,
    rule: Option<Listed>,
    counter: Option<Counter>,
    map: Option<Map>,
}

#[derive(Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    hook: Option<String>,
    policy: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    family: String,
    table: String,
    chain: String,
    handle: u64,
    #[serde(default)]
    expr: Vec<Value>,
}

#[derive(Deserialize)]
struct Counter {
    family: String,
    table: String,
    name: String,
    packets: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct Map {
    family: String,
    table: String,
    name: String,
    #[serde(default)]
    elem: Value,
}

/// A name within a family's table.
type Name<'a> = (&'a str, &'a str, &'a str);

/// What rules refer to by name.
#[derive(Default)]
struct Named<'a> {
    hooks: HashMap<Name<'a>, &'a str>,
    counters: HashMap<Name<'a>, Counts>,
    /// How many rules use a counter.
    users: HashMap<Name<'a>, u32>,
    /// Verdict maps with a `drop` in them.
    dropping_maps: HashSet<Name<'a>>,
    /// The chains that verdict maps lead to.
    map_targets: HashMap<Name<'a>, Vec<&'a str>>,
}

impl Listed {
    fn in_table<'a>(&'a self, name: &'a str) -> Name<'a> {
        (&self.family, &self.table, name)
    }
}

/// The rules and policies that can drop, in the order of the listing.
pub fn rules(json: &[u8]) -> Result<Vec<Rule>, NftError> {
    let listing: Listing = serde_json::from_slice(json)?;
    let named = named(&listing);
    let reached = reached(&listing, &named);
    let mut positions: HashMap<Name<'_>, u32> = HashMap::new();
    let mut rules = Vec::new();
    for item in &listing.nftables {
        if let Some(chain) = &item.chain
            && chain.policy.as_deref() == Some("drop")
        {
            rules.push(policy(chain));
        }
        let Some(listed) = &item.rule else { continue };
        let chain = (listed.family.as_str(), listed.table.as_str(), listed.chain.as_str());
        let position = positions.entry(chain).or_default();
        *position += 1;
        if let Some((verdict, count)) = judged(listed, &named) {
            rules.push(Rule {
                key: key(chain, RuleId::Handle(listed.handle)),
                position: Some(*position),
                hook: named.hooks.get(&chain).map(|&hook| hook.to_owned()),
                hooks: reached.get(&chain).cloned().unwrap_or_default(),
                text: String::new(),
                verdict,
                count,
            });
        }
    }
    Ok(rules)
}

fn named(listing: &Listing) -> Named<'_> {
    let mut named = Named::default();
    for item in &listing.nftables {
        if let Some(Chain { family, table, name, hook: Some(hook), .. }) = &item.chain {
            named.hooks.insert((family, table, name), hook);
        }
        if let Some(Counter { family, table, name, packets, bytes }) = &item.counter {
            named.counters.insert((family, table, name), Counts { packets: *packets, bytes: *bytes });
        }
        if let Some(Map { family, table, name, elem }) = &item.map {
            if has_drop(elem) {
                named.dropping_maps.insert((family, table, name));
            }
            named.map_targets.insert((family, table, name), targets(elem));
        }
        if let Some(Listed { family, table, expr, .. }) = &item.rule {
            for name in expr.iter().filter_map(|statement| statement.get("counter")?.as_str()) {
                *named.users.entry((family, table, name)).or_default() += 1;
            }
        }
    }
    named
}

/// The hooks that lead to each chain: its own, and those of the chains with a jump to it.
fn reached<'a>(listing: &'a Listing, named: &Named<'a>) -> HashMap<Name<'a>, Hooks> {
    let mut chains = Chains::default();
    for (chain, hook) in &named.hooks {
        chains.hang(*chain, hook);
    }
    for rule in listing.nftables.iter().filter_map(|item| item.rule.as_ref()) {
        let from = rule.in_table(&rule.chain);
        for statement in &rule.expr {
            let map = statement["vmap"]["data"].as_str().and_then(|name| name.strip_prefix('@'));
            let of_map = map.and_then(|map| named.map_targets.get(&rule.in_table(map)));
            for target in targets(statement).into_iter().chain(of_map.into_iter().flatten().copied()) {
                chains.jump(from, rule.in_table(target));
            }
        }
    }
    chains.reached()
}

/// The chains that a `jump` or `goto` anywhere in it leads to.
fn targets(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().flat_map(targets).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match key.as_str() {
                "jump" | "goto" => value["target"].as_str().into_iter().collect(),
                _ => targets(value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// nftables counts nothing for a policy.
fn policy(chain: &Chain) -> Rule {
    Rule {
        key: key((&chain.family, &chain.table, &chain.name), RuleId::Policy),
        position: None,
        hook: chain.hook.clone(),
        hooks: chain.hook.iter().cloned().collect(),
        text: "policy drop".into(),
        verdict: RuleVerdict::Policy,
        count: Count::None,
    }
}

fn key((family, table, chain): Name<'_>, id: RuleId) -> RuleKey {
    let [family, table, chain] = [family, table, chain].map(str::to_owned);
    RuleKey { system: RuleSystem::Nft, family, table, chain, id }
}

/// What the rule does with a packet and how it counts, if it can drop one.
fn judged(rule: &Listed, named: &Named<'_>) -> Option<(RuleVerdict, Count)> {
    let mut count = Count::None;
    for statement in &rule.expr {
        let (kind, value) = statement.as_object()?.iter().next()?;
        match kind.as_str() {
            "drop" => return Some((RuleVerdict::Drop, count)),
            "reject" => return Some((RuleVerdict::Reject, count)),
            // iptables-nft's REJECT, where nft doesn't translate it.
            "xt" if value["type"] == "target" => match value["name"].as_str() {
                Some("DROP") => return Some((RuleVerdict::Drop, count)),
                Some("REJECT") => return Some((RuleVerdict::Reject, count)),
                _ => {}
            },
            "vmap" if drops(&value["data"], rule, named) => {
                return Some((RuleVerdict::Drop, passed(count)));
            }
            "counter" => count = counter(value, rule, named),
            "log" | "mangle" | "notrack" | "ct helper" | "ct timeout" | "ct expectation" => {}
            // A condition, or something that may hold one, after a counter.
            _ => count = passed(count),
        }
    }
    None
}

fn passed(count: Count) -> Count {
    count.counts().map_or(Count::None, Count::Passed)
}

/// The rule's own counter, or one that it names.
fn counter(value: &Value, rule: &Listed, named: &Named<'_>) -> Count {
    if let (Some(packets), Some(bytes)) = (value["packets"].as_u64(), value["bytes"].as_u64()) {
        return Count::Dropped(Counts { packets, bytes });
    }
    let Some(name) = value.as_str().map(|name| rule.in_table(name)) else { return Count::None };
    match named.counters.get(&name) {
        Some(counts) if named.users.get(&name) == Some(&1) => Count::Dropped(*counts),
        Some(counts) => Count::Passed(*counts),
        None => Count::None,
    }
}

/// Whether a verdict map, `{"set": […]}` or `"@name"`, has a `drop` in it.
fn drops(data: &Value, rule: &Listed, named: &Named<'_>) -> bool {
    match data.as_str() {
        Some(name) => {
            name.strip_prefix('@').is_some_and(|name| named.dropping_maps.contains(&rule.in_table(name)))
        }
        None => has_drop(&data["set"]),
    }
}

/// Pairs of key and verdict.
fn has_drop(elements: &Value) -> bool {
    let elements = elements.as_array().into_iter().flatten();
    elements.filter_map(|pair| pair.get(1)).any(|verdict| verdict.get("drop").is_some())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    const RULESET: &[u8] = include_bytes!("../../tests/fixtures/rules/nft.json");

    /// Every way to drop that nft 1.0.6 lists, with what it counted.
    #[test]
    fn what_can_drop() {
        let mut text = String::new();
        for rule in rules(RULESET).unwrap() {
            let RuleKey { family, table, chain, id, .. } = &rule.key;
            let hook = rule.hook.as_deref().unwrap_or("-");
            let position = rule.position.unwrap_or(0);
            writeln!(
                text,
                "{family} {table} {chain} {hook} {id:?} #{position}: {:?} {:?}",
                rule.verdict, rule.count
            )
            .unwrap();
        }
        insta::assert_snapshot!(text);
    }

    /// By jumps, maps of verdicts in the rule and by their names.
    #[test]
    fn a_chain_is_reached_from_the_hooks_that_lead_to_it() {
        let chain = |name: &str, hook: &str| serde_json::json!({"chain": {"family": "ip", "table": "t", "name": name, "hook": hook}});
        let rule = |chain: &str, statement: Value| serde_json::json!({"rule": {"family": "ip", "table": "t", "chain": chain, "handle": 1, "expr": [statement]}});
        let to = |chain: &str| serde_json::json!([[1, {"goto": {"target": chain}}]]);
        let items = serde_json::json!({"nftables": [
            chain("in", "input"), chain("out", "output"),
            {"map": {"family": "ip", "table": "t", "name": "named", "elem": to("by_name")}},
            rule("in", serde_json::json!({"jump": {"target": "jumped"}})),
            rule("jumped", serde_json::json!({"vmap": {"key": 1, "data": {"set": to("by_map")}}})),
            rule("out", serde_json::json!({"vmap": {"key": 1, "data": "@named"}})),
            rule("in", serde_json::json!({"vmap": {"key": 1, "data": "@named"}})),
            rule("in", serde_json::json!({"drop": null})),
            rule("jumped", serde_json::json!({"drop": null})),
            rule("by_map", serde_json::json!({"drop": null})),
            rule("by_name", serde_json::json!({"drop": null})),
            rule("alone", serde_json::json!({"drop": null})),
        ]});
        let rules = rules(items.to_string().as_bytes()).unwrap();
        let reached: Vec<String> = rules
            .iter()
            .map(|rule| {
                let hooks: Vec<&str> = rule.hooks.iter().map(String::as_str).collect();
                format!("{}: {}", rule.key.chain, hooks.join(" "))
            })
            .collect();
        assert_eq!(
            reached,
            ["in: input", "jumped: input", "by_map: input", "by_name: input output", "alone: "]
        );
    }

    #[test]
    fn a_counter_that_two_rules_share_is_neithers() {
        let rule = |handle: u64| {
            serde_json::json!({"rule": {"family": "ip", "table": "t", "chain": "c", "handle": handle,
                "expr": [{"counter": "n"}, {"drop": null}]}})
        };
        let counter = serde_json::json!({"counter": {"family": "ip", "table": "t", "name": "n", "packets": 3, "bytes": 9}});
        let counts = Counts { packets: 3, bytes: 9 };
        let of = |items: &[&Value]| {
            let json = serde_json::json!({ "nftables": items }).to_string();
            rules(json.as_bytes()).unwrap().into_iter().map(|rule| rule.count).collect::<Vec<_>>()
        };
        assert_eq!(of(&[&counter, &rule(1)]), [Count::Dropped(counts)]);
        assert_eq!(of(&[&counter, &rule(1), &rule(2)]), [Count::Passed(counts); 2]);
        assert_eq!(of(&[&rule(1)]), [Count::None], "a counter that isn't listed");
    }

    #[rstest::rstest]
    #[case::nothing(b"")]
    #[case::a_message(b"Error: syntax error")]
    #[case::cut(&RULESET[..RULESET.len() / 2])]
    #[case::a_handle_that_is_none(
        br#"{"nftables":[{"rule":{"family":"ip","table":"t","chain":"c","handle":"x"}}]}"#
    )]
    fn anything_else_is_an_error(#[case] json: &[u8]) {
        assert!(rules(json).unwrap_err().to_string().starts_with("nft's listing can't be read"));
    }

    proptest! {
        /// Whatever statements come: an answer, never a panic.
        #[test]
        fn any_expression_is_judged(kinds in proptest::collection::vec("drop|reject|counter|vmap|xt|match|[a-z]{0,3}", 0..6), value in "null|1|\"@x\"|\\[\\]|\\{\\}|\\{\"data\":\\{\"set\":\\[\\[1\\]\\]\\}\\}|\\{\"packets\":\\-1\\}") {
            let expr: Vec<String> = kinds.iter().map(|kind| format!("{{\"{kind}\":{value}}}")).collect();
            let json = format!(
                r#"{{"nftables":[{{"rule":{{"family":"ip","table":"t","chain":"c","handle":1,"expr":[{}]}}}}]}}"#,
                expr.join(",")
            );
            let dropping = rules(json.as_bytes()).unwrap();
            prop_assert!(dropping.len() <= 1);
            prop_assert!(dropping.is_empty() || kinds.iter().any(|kind| ["drop", "reject", "vmap", "xt"].contains(&kind.as_str())));
        }
    }
}
