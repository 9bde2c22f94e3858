//! The knowledge base's entries that a page shows.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::knowledge::{self, Entry};
use crate::model::Row;

/// An entry.
#[derive(Debug, Serialize)]
pub struct Advice {
    name: &'static str,
    kind: &'static str,
    class: &'static str,
    meaning: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    normal: Option<&'static str>,
    causes: Vec<&'static str>,
    confirm: Vec<Step>,
    remedy: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'static str>,
    sources: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Step {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// Entries by the name that kinds of drops refer to.
pub type Advices = BTreeMap<String, Advice>;

/// Takes what is known of a row's drops; gives its names: of the reason, and of the function or trap.
pub fn of(row: &Row, advices: &mut Advices) -> Vec<String> {
    let trap = row.site.as_ref().and_then(|site| site.trap.as_ref());
    let reason = row.reason.as_ref().and_then(|reason| knowledge::reason(&reason.name));
    let place = match trap {
        Some(trap) => knowledge::trap(&trap.name),
        None => row.function().and_then(knowledge::site),
    };
    let take = |entry: &Entry| {
        let name = format!("{} {}", entry.kind().as_str(), entry.name());
        advices.entry(name.clone()).or_insert_with(|| advice(entry));
        name
    };
    [reason, place].into_iter().flatten().map(take).collect()
}

fn advice(entry: &Entry) -> Advice {
    let steps = |steps: Vec<knowledge::Step>| {
        steps.into_iter().map(|knowledge::Step { command, note }| Step { command, note }).collect()
    };
    let source = |source: knowledge::Source| match source.function {
        Some(function) => format!("{}: {function}", source.file),
        None => source.file.to_owned(),
    };
    Advice {
        name: entry.name(),
        kind: entry.kind().as_str(),
        class: entry.class().as_str(),
        meaning: entry.meaning(),
        normal: entry.normal(),
        causes: entry.causes(),
        confirm: steps(entry.confirm()),
        remedy: steps(entry.remedy()),
        caution: entry.caution(),
        sources: entry.sources().into_iter().map(source).collect(),
    }
}
