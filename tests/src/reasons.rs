//! Which scenario produces which reason of the kernel's core, and why none produces the others: `docs/reasons.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use netdrop::knowledge::{self, Kind};

use crate::scenario::Case;

/// A line a reason: its name, two blanks or more, and why no scenario produces it.
const UNPRODUCED: &str = include_str!("unproduced.txt");

/// How a reason stands.
enum Standing {
    Produced(Vec<String>),
    Unproduced(&'static str),
}

/// The document, in Markdown.
pub fn document(cases: &[Case]) -> Result<String, String> {
    let standings = standings(cases)?;
    let produced: Vec<_> = standings
        .iter()
        .filter_map(|(reason, standing)| match standing {
            Standing::Produced(scenarios) => Some((reason, scenarios)),
            Standing::Unproduced(_) => None,
        })
        .collect();
    let mut text = format!(
        "# Drop reasons and the scenarios that produce them\n\n\
         Written by `netdrop-tests --reasons`, and held to it by a test of that crate. Every reason of the kernel's core that\n\
         netdrop's knowledge base has stands in one of the two tables: {} are produced by a scenario, {} are not.\n\
         A scenario that stands in brackets gives the reason on older kernels alone: newer ones have a better one for it.\n\
         Which kernel gives which reason is asked of its type information when a scenario runs (`Expect` in `tests/src/scenario.rs`).\n\n\
         ## Produced\n\n| reason | scenarios |\n|---|---|\n",
        produced.len(),
        standings.len() - produced.len()
    );
    for (reason, scenarios) in produced {
        let _ = writeln!(text, "| `{reason}` | {} |", scenarios.join(", "));
    }
    text.push_str("\n## Not produced\n\n| reason | why |\n|---|---|\n");
    for (reason, standing) in &standings {
        if let Standing::Unproduced(why) = standing {
            let _ = writeln!(text, "| `{reason}` | {why} |");
        }
    }
    Ok(text)
}

/// Every reason of the core by name; an error names one that stands nowhere, or in both places, or doesn't exist.
fn standings(cases: &[Case]) -> Result<BTreeMap<&'static str, Standing>, String> {
    let mut whys: BTreeMap<&str, &str> =
        UNPRODUCED.lines().filter_map(|line| line.split_once("  ")).collect();
    let mut standings = BTreeMap::new();
    for entry in knowledge::entries() {
        if entry.kind() != Kind::Reason || entry.subsystem() != "core" {
            continue;
        }
        let name = entry.name();
        let standing = match (scenarios(cases, name), whys.remove(name)) {
            (produced, None) if !produced.is_empty() => Standing::Produced(produced),
            (produced, Some(why)) if produced.is_empty() => Standing::Unproduced(why.trim()),
            (produced, None) if produced.is_empty() => {
                return Err(format!("{name}: neither a scenario nor a line in tests/src/unproduced.txt"));
            }
            _ => return Err(format!("{name}: a scenario and a line in tests/src/unproduced.txt")),
        };
        standings.insert(name, standing);
    }
    match whys.keys().next() {
        Some(name) => Err(format!("tests/src/unproduced.txt: {name} is no reason of the kernel's core")),
        None => Ok(standings),
    }
}

/// Scenarios that expect the reason; where there are others, `NOT_SPECIFIED` for older kernels is no feat.
fn scenarios(cases: &[Case], reason: &str) -> Vec<String> {
    let (mut newest, mut older) = (Vec::new(), Vec::new());
    for case in cases {
        let Case::Scenario(scenario) = case else { continue };
        match scenario.expect.reasons.iter().position(|one| *one == reason) {
            Some(0) => newest.push(scenario.name.to_owned()),
            Some(_) => older.push(format!("({})", scenario.name)),
            None => {}
        }
    }
    if newest.is_empty() { older } else { newest }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_what_the_scenarios_say() {
        let document = super::document(&crate::scenarios::all()).expect("every reason stands somewhere");
        let written = include_str!("../../docs/reasons.md");
        assert!(document == written, "write it anew: netdrop-tests --reasons > docs/reasons.md");
    }
}
