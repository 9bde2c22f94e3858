//! Checks made on windows.

use serde::Serialize;

use super::finding::Finding;
use super::related::relate;
use super::shell::shell;
use super::{Area, Check, Extent, Home, Scope, Severity, Span, Window};

/// A check that couldn't be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// Its name.
    pub check: &'static str,
    /// Its area.
    pub area: Area,
    /// The network namespace; absent for the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// What couldn't be read, and why.
    pub why: String,
}

/// What came of all checks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnosis {
    /// What is wrong, not ranked yet.
    pub findings: Vec<Finding>,
    /// What couldn't be looked at.
    pub unchecked: Vec<Unchecked>,
    /// How many checks were made.
    pub checked: usize,
}

/// Makes these checks. Those of the whole host are made on the first window alone.
pub fn diagnose(checks: &[&'static Check], windows: &[Window], extent: Extent) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    for (index, window) in windows.iter().enumerate() {
        for check in checks.iter().filter(|check| check.is_due(index, extent)) {
            diagnosis.add(check, window);
        }
    }
    relate(&mut diagnosis.findings);
    diagnosis
}

impl Diagnosis {
    fn add(&mut self, check: &'static Check, window: &Window) {
        let netns = window.home.name.clone().filter(|_| check.scope == Scope::Netns);
        let host = Window { home: &Home::EVERYWHERE, drops: window.drops.clone(), ..*window };
        match (check.run)(if check.scope == Scope::Host { &host } else { window }) {
            Ok(findings) => {
                self.checked += 1;
                self.findings.extend(findings.into_iter().map(|finding| signed(finding, check, window)));
            }
            Err(unread) => {
                let unchecked =
                    Unchecked { check: check.name, area: check.area, netns, why: unread.to_string() };
                self.unchecked.push(unchecked);
            }
        }
    }
}

/// A finding with what the check is known for. What was counted since the boot may be long over: it is no emergency.
fn signed(finding: Finding, check: &'static Check, window: &Window) -> Finding {
    let history = window.span == Span::SinceBoot;
    let most = if history { Severity::Warning } else { Severity::Critical };
    let netns = window.home.name.clone().filter(|_| check.scope == Scope::Netns);
    let of = netns.as_ref().map_or(String::new(), |name| format!(" --netns {}", shell(name)));
    Finding {
        check: check.name,
        area: check.area,
        severity: finding.severity.min(most),
        history,
        verify: format!("netdrop doctor --only {}{of}", check.name),
        netns,
        ..finding
    }
}
