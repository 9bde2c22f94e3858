//! For programs: a line of JSON each.

use serde::Serialize;

use super::Closing;
use crate::doctor::{Diagnosis, Finding, Severity};

#[derive(Serialize)]
struct Line<'a, T> {
    v: u32,
    kind: &'static str,
    #[serde(flatten)]
    of: &'a T,
}

#[derive(Serialize)]
struct Summary<'a> {
    checked: usize,
    unchecked: usize,
    critical: usize,
    warning: usize,
    info: usize,
    since_boot: bool,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    drops: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    without_drops: Option<&'a str>,
}

/// A finding's line of JSON.
pub fn finding_line(finding: &Finding) -> String {
    line("doctor.finding", finding)
}

/// A line of JSON each: findings, what couldn't be checked, then the summary.
pub fn json(closing: &Closing) -> String {
    let Diagnosis { findings, unchecked, checked } = closing.diagnosis;
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let summary = Summary {
        checked: *checked,
        unchecked: unchecked.len(),
        critical: of(Severity::Critical),
        warning: of(Severity::Warning),
        info: of(Severity::Info),
        since_boot: closing.since_boot,
        seconds: (closing.lasted.as_secs_f64() * 1000.0).round() / 1000.0,
        drops: closing.drops.ok(),
        without_drops: closing.drops.err(),
    };
    let findings = findings.iter().map(finding_line);
    let unchecked = unchecked.iter().map(|one| line("doctor.unchecked", one));
    findings.chain(unchecked).chain([line("doctor.summary", &summary)]).collect()
}

fn line<T: Serialize>(kind: &'static str, of: &T) -> String {
    serde_json::to_string(&Line { v: 1, kind, of }).expect("it is strings and numbers alone") + "\n"
}
