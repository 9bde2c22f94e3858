//! Counting what sub-runs passed, by what their runners print.

use std::ops::AddAssign;

/// Tests by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Tally {
    pub const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// The scenarios' closing line: `30 passed, 0 failed, 2 skipped` and nothing else on it.
    pub fn from_closing_line(line: &str) -> Option<Self> {
        let mut parts = line.trim().split(", ");
        let mut count = |word: &str| parts.next()?.strip_suffix(word)?.trim_end().parse().ok();
        let tally = Self { passed: count("passed")?, failed: count("failed")?, skipped: count("skipped")? };
        parts.next().is_none().then_some(tally)
    }

    /// cargo test's `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub fn from_cargo_test(line: &str) -> Option<Self> {
        let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
        let count = |word: &str| {
            counts.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim_end().parse().ok())
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, skipped: count("ignored")? })
    }
}

/// Why a scenario was skipped: the end of its line `skipped NAME: REASON`.
pub fn skip_reason(line: &str) -> Option<&str> {
    line.strip_prefix("skipped ")?.split_once(": ").map(|(_, reason)| reason)
}

/// A case that a runner's line says was not passed: skipped or failed.
pub fn not_passed(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("skipped ").or_else(|| line.strip_prefix("FAILED "))?;
    rest.trim_start().split_once(": ").map(|(name, _)| name)
}

/// The failures among a runner's lines, each with the lines that explain it: `FAILED  NAME: WHY` and what is indented below.
pub fn failures<'l>(lines: impl IntoIterator<Item = &'l str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut within = false;
    for line in lines {
        match (line.starts_with("FAILED "), found.last_mut()) {
            (true, _) => found.push(line.to_owned()),
            (false, Some(failure)) if within && line.starts_with("   ") => failure.extend(["\n", line]),
            _ => {
                within = false;
                continue;
            }
        }
        within = true;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_passed_has_a_name() {
        assert_eq!(not_passed("skipped tcp-rtt: no netem here: x"), Some("tcp-rtt"));
        assert_eq!(not_passed("FAILED  tcp-syn: waited 60s"), Some("tcp-syn"));
        assert_eq!(not_passed("ok      tcp-syn      2.0 s"), None);
    }

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn closing_lines_are_read_whole_or_not_at_all() {
        let cases = [
            ("30 passed, 0 failed, 2 skipped", Some(tally(30, 0, 2))),
            ("30 passed, 0 failed", None),
            ("udp: 30 passed, 0 failed, 2 skipped", None),
            ("30 passed, 0 failed, 2 skipped, 3 lost", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(Tally::from_closing_line(line), expected, "{line}");
        }
        assert_eq!(Tally::from_closing_line(&tally(1, 2, 3).to_string()), Some(tally(1, 2, 3)));
    }

    #[test]
    fn skip_reasons_follow_the_name() {
        assert_eq!(skip_reason("skipped udp/full: no dummy: module"), Some("no dummy: module"));
        assert_eq!(skip_reason("ok      udp/skipped: x"), None);
    }

    #[test]
    fn a_failure_goes_as_far_as_it_is_indented() {
        let lines = [
            "ok      a",
            "FAILED  b: c",
            "    d",
            "ok      e",
            "    f",
            "FAILED  g: h",
            "1 passed, 2 failed",
        ];
        assert_eq!(failures(lines), ["FAILED  b: c\n    d", "FAILED  g: h"]);
    }

    #[test]
    fn cargo_test_results_are_read() {
        let line = "test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(Tally::from_cargo_test(line), Some(tally(5, 1, 2)));
        assert_eq!(Tally::from_cargo_test("test a::b ... ok"), None);
    }
}
