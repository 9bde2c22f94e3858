//! Findings as lines.

use unicode_width::UnicodeWidthStr as _;

use super::paint::{of, painted};
use crate::doctor::Finding;
use crate::output::columns::cut;
use crate::output::words::Plain;
use crate::units::grouped;

/// A line a finding: severity, what about, what is wrong, the check; cut at `width`, if there is one.
pub fn table(findings: &[Finding], width: Option<usize>, color: bool) -> String {
    let widest = |text: fn(&Finding) -> &str| findings.iter().map(|one| text(one).width()).max().unwrap_or(0);
    let subjects = widest(|one| &one.subject);
    let line = |finding: &Finding| {
        let Finding { severity, check, subject, sentence, netns, .. } = finding;
        let netns = netns.as_ref().map_or(String::new(), |name| format!("{name}: "));
        let sentence = grouped(sentence);
        let line = format!("{severity:8}  {subject:subjects$}  {netns}{sentence}  ({check})");
        let line = Plain(&line).to_string();
        let line = width.map_or_else(|| line.clone(), |width| cut(&line, width));
        painted(of(*severity), &line, color) + "\n"
    };
    findings.iter().map(line).collect()
}
