//! What explains drops, in short.

use std::cmp::Reverse;
use std::collections::HashSet;

use crate::model::{Explanation, Summary};
use crate::order::InOrder as _;
use crate::output::words::Plain;

/// What explains drops of a run, below its counts: a sentence each, after an empty line.
pub fn explanations(explanations: &[Explanation]) -> Vec<String> {
    let told = explanations.iter().map(|one| Plain(&one.to_string()).to_string());
    let before = (!explanations.is_empty()).then(String::new);
    before.into_iter().chain(told).collect()
}

/// What explains drops of several runs, below their counts: how often each check found something, the most frequent first, and what it found the last
/// time. Processes and ports are others in each run; checks are the same.
pub fn repeated(ends: &[Summary]) -> Vec<String> {
    let found = |end: &Summary, check: &str| end.findings.iter().any(|one| one.check == check);
    let runs = |check: &str| ends.iter().filter(|end| found(end, check)).count();
    let mut known = HashSet::new();
    let checks = ends.iter().flat_map(|end| end.findings.iter()).map(|one| one.check.as_str());
    let mut checks: Vec<&str> = checks.filter(|check| known.insert(*check)).collect();
    checks.order_by(|a, b| Reverse(runs(a)).cmp(&Reverse(runs(b))));
    let told = checks.into_iter().flat_map(|check| {
        let often = match runs(check) {
            all if all == ends.len() => "in every run".to_owned(),
            some => format!("in {some} of {} runs", ends.len()),
        };
        let last = ends.iter().rev().find(|end| found(end, check));
        let ones = last.into_iter().flat_map(|end| end.findings.iter()).filter(move |one| one.check == check);
        ones.map(move |one| Plain(&format!("doctor, {often}: {}", one.told())).to_string())
    });
    let told: Vec<String> = told.collect();
    let before = (!told.is_empty()).then(String::new);
    before.into_iter().chain(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_again_is_told_once_with_how_often() {
        let one = |check: &str, subject: &str| Explanation {
            check: check.into(),
            severity: "warning".into(),
            subject: subject.into(),
            sentence: "3000 packets were dropped.".into(),
            cause: "It is slow.".into(),
            explains: Vec::new(),
            verify: format!("netdrop doctor --only {check}"),
            netns: None,
        };
        let run = |found: &[Explanation]| Summary { findings: found.into(), ..Summary::default() };
        let ends = [
            run(&[one("b", "b of run 1"), one("a", "a of run 1")]),
            run(&[one("a", "a of run 2"), one("a", "another a of run 2")]),
        ];
        let often = |told: &[String]| -> Vec<String> {
            told.iter().map(|line| line.split(" of run").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(
            often(&repeated(&ends)),
            ["", "doctor, in every run: a", "doctor, in every run: another a", "doctor, in 1 of 2 runs: b"]
        );
        let whole = "doctor, in 1 of 2 runs: b of run 1: 3,000 packets were dropped. It is slow. What helps: netdrop doctor --only b";
        assert_eq!(repeated(&ends)[3], whole);
        assert!(repeated(&[run(&[]), run(&[])]).is_empty());
    }
}
