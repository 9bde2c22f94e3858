//! What this kernel and these privileges allow, each with its consequence.

mod attach;
mod kernel;
mod process;

use std::path::Path;

use serde::Serialize;

use crate::kernel::features::Features;
use crate::kernel::identity::Identity;

/// How good it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// netdrop works, with less.
    Limited,
    /// `watch` can't work.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How good it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What follows from it.
    pub consequence: String,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>, consequence: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Good, found: found.into(), consequence: consequence.into() }
    }

    fn limited(name: &'static str, found: impl Into<String>, consequence: impl Into<String>) -> Self {
        Self { verdict: Verdict::Limited, ..Self::good(name, found, consequence) }
    }

    fn broken(name: &'static str, found: impl Into<String>, consequence: impl Into<String>) -> Self {
        Self { verdict: Verdict::Broken, ..Self::good(name, found, consequence) }
    }
}

/// Looks at everything: the files below `root`, then the kernel itself, by attaching for a moment.
pub fn check(root: &Path) -> Vec<Finding> {
    let features = Features::read(root);
    let identity = Identity::read(root);
    let mut findings = kernel::findings(root, &features, &identity);
    findings.extend(process::findings(&features));
    findings.extend(attach::findings(&features, identity.as_ref().ok()));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_machine_can_do_nothing_and_says_why() {
        let root = tempfile::tempdir().unwrap();
        let findings = check(root.path());
        let broken: Vec<_> =
            findings.iter().filter(|one| one.verdict == Verdict::Broken).map(|one| one.name).collect();
        assert_eq!(broken, ["BTF", "capabilities", "attach"]);
        assert!(findings.iter().all(|one| !one.consequence.is_empty() && !one.found.is_empty()));
    }
}
