//! The words of nftables' rules, from `nft -s -a list ruleset`: each rule's line ends with `# handle N`.

use std::collections::HashMap;

/// The texts by family, table, chain and handle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(HashMap<(String, String, String, u64), String>);

impl Texts {
    /// A rule's text, as `nft` would take it.
    pub fn get(&self, family: &str, table: &str, chain: &str, handle: u64) -> Option<&str> {
        let key = (family.to_owned(), table.to_owned(), chain.to_owned(), handle);
        self.0.get(&key).map(String::as_str)
    }
}

/// Reads a listing; lines that aren't understood are left out, and their rules known by their handles alone.
pub fn texts(listing: &str) -> Texts {
    let mut texts = Texts::default();
    let mut table: Option<(&str, &str)> = None;
    let mut chain: Option<&str> = None;
    let mut text = String::new();
    for line in listing.lines() {
        let (line, handle) = with_handle(line.trim());
        let words: Vec<&str> = line.split_whitespace().collect();
        match (&words[..], table, chain) {
            (["table", family, name, "{"], ..) => table = Some((family, name)),
            (["chain", name, "{"], Some(_), _) => chain = Some(name),
            (["}"], _, Some(_)) => chain = None,
            (["}"], ..) => {}
            (_, Some((family, table)), Some(chain)) => {
                text.push_str(line);
                match handle {
                    Some(handle) => {
                        let key = (family.to_owned(), table.to_owned(), chain.to_owned(), handle);
                        texts.0.insert(key, std::mem::take(&mut text));
                    }
                    // A long set goes on in the next line; what else has no handle is no rule.
                    None if line.ends_with([',', '{']) => text.push(' '),
                    None => text.clear(),
                }
            }
            _ => {}
        }
    }
    texts
}

/// `udp dport 9 drop # handle 7` → the line before, and 7.
fn with_handle(line: &str) -> (&str, Option<u64>) {
    line.rsplit_once("# handle ")
        .and_then(|(before, handle)| Some((before.trim_end(), Some(handle.parse().ok()?))))
        .unwrap_or((line, None))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULESET: &str = include_str!("../../tests/fixtures/rules/nft.txt");

    #[test]
    fn every_rule_of_a_listing() {
        let Texts(texts) = texts(RULESET);
        let mut lines: Vec<String> = texts
            .iter()
            .map(|((family, table, chain, handle), text)| {
                format!("{family} {table} {chain} {handle:02}: {text}")
            })
            .collect();
        lines.sort();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[rstest::rstest]
    #[case::one_line("\t\tudp dport 9 drop # handle 7", "udp dport 9 drop")]
    #[case::a_set_over_two("\t\tudp dport { 1,\n\t\t\t    2 } drop # handle 7", "udp dport { 1, 2 } drop")]
    #[case::a_comment_that_looks_so(
        "\t\tdrop comment \"# handle 3\" # handle 7",
        "drop comment \"# handle 3\""
    )]
    #[case::after_the_hook(
        "\t\ttype filter hook input priority 0; policy drop;\n\t\tdrop # handle 7",
        "drop"
    )]
    fn a_rule(#[case] lines: &str, #[case] text: &str) {
        let listing = format!("table inet t {{ # handle 1\n\tchain c {{ # handle 2\n{lines}\n\t}}\n}}\n");
        assert_eq!(texts(&listing).get("inet", "t", "c", 7), Some(text));
    }

    proptest! {
        #[test]
        fn any_text_will_do(lines in proptest::collection::vec("table ip t \\{|chain c \\{|\\}|.{0,12}# handle [0-9]{0,22}|.{0,9}", 0..12)) {
            let _ = texts(&lines.join("\n"));
        }
    }
}
