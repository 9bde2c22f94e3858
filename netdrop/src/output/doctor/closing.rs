//! What there is to say after the findings: what couldn't be checked, and the sum of all.

use std::time::Duration;

use super::page::Page;
use crate::doctor::{Diagnosis, Finding, Severity, Unchecked};
use crate::units::{counted, elapsed, thousands};

/// All of an examination but its findings.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    /// What was diagnosed.
    pub diagnosis: &'a Diagnosis,
    /// The time that was looked at.
    pub lasted: Duration,
    /// It is all since the boot.
    pub since_boot: bool,
    /// Drops in that time; or why they weren't counted.
    pub drops: Result<u64, &'a str>,
}

/// How many findings there are of each severity, the worst first.
fn of_each(findings: &[Finding]) -> impl Iterator<Item = (Severity, usize)> {
    Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (severity, findings.iter().filter(|finding| finding.severity == severity).count()))
}

/// What couldn't be checked, and the sum of all.
pub fn closing(closing: &Closing, width: usize) -> String {
    let mut page = Page::new(width, false);
    let Diagnosis { findings, unchecked, checked } = closing.diagnosis;
    let time = elapsed(closing.lasted);
    let time = if closing.since_boot { format!("since the boot {time} ago") } else { format!("in {time}") };
    let counts: Vec<_> = of_each(findings)
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| {
            let many = if severity == Severity::Warning && count != 1 { "s" } else { "" };
            format!("{count} {severity}{many}")
        })
        .collect();
    let found = if counts.is_empty() { "all fine".to_owned() } else { counts.join(", ") };
    let drops = match closing.drops {
        Ok(drops) => format!("{} {} counted", thousands(drops), if drops == 1 { "drop" } else { "drops" }),
        Err(why) => format!("drops not counted: {why}"),
    };
    page.paragraph(0, &format!("Checked {} {time}: {found}; {drops}.", things(*checked)));
    if !unchecked.is_empty() {
        page.line(&format!("{} could not be checked:", things(unchecked.len())));
    }
    for line in unchecked_for_one_reason(unchecked) {
        page.paragraph(2, &line);
    }
    page.text
}

/// What failed for the same reason in the same namespace is one line; of many checks their number will do.
fn unchecked_for_one_reason(unchecked: &[Unchecked]) -> Vec<String> {
    const NAMED: usize = 4;
    let mut reasons: Vec<(&Unchecked, Vec<&str>)> = Vec::new();
    for one in unchecked {
        match reasons.iter_mut().find(|(first, _)| (&first.netns, &first.why) == (&one.netns, &one.why)) {
            Some((_, checks)) => checks.push(one.check),
            None => reasons.push((one, vec![one.check])),
        }
    }
    let line = |(Unchecked { netns, why, .. }, checks): (&Unchecked, Vec<&str>)| {
        let netns = netns.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        let checks =
            if checks.len() > NAMED { format!("{} checks", checks.len()) } else { checks.join(", ") };
        format!("{checks}{netns}: {why}")
    };
    reasons.into_iter().map(line).collect()
}

fn things(count: usize) -> String {
    counted(count as u64, "thing", "things")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Area;

    #[test]
    fn what_fails_for_one_reason_is_one_line() {
        let one = |check, netns: Option<&str>, why: &str| Unchecked {
            check,
            area: Area::Udp,
            netns: netns.map(Into::into),
            why: why.into(),
        };
        let away = ["a", "b", "c", "d", "e"].map(|check| one(check, Some("web"), "gone"));
        let others = [one("a", None, "no file"), one("b", None, "no file"), one("c", None, "no right")];
        let told = unchecked_for_one_reason(&[&away[..], &others].concat());
        assert_eq!(told, ["5 checks in web: gone", "a, b: no file", "c: no right"]);
    }
}
