//! What the doctor says of drops, in short.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Row;
use crate::units::grouped;

/// A finding of the doctor's that explains drops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The check that found it.
    pub check: String,
    /// How much it matters: info, warning, critical.
    pub severity: String,
    /// What it is about: `listener 0.0.0.0:8080 of nginx(4242)`.
    pub subject: String,
    /// What is wrong.
    pub sentence: String,
    /// Why.
    pub cause: String,
    /// Drop reasons, and functions where a kernel has no reasons, whose drops it explains.
    pub explains: Vec<String>,
    /// The command that tells all of it, and whether something helped: `netdrop doctor --only CHECK`, in its namespace.
    pub verify: String,
    /// The inode of the network namespace whose drops alone it explains.
    #[serde(skip)]
    pub netns: Option<u32>,
}

impl Explanation {
    /// Whether a row's drops are explained by it. A row whose namespace isn't known may be anywhere.
    pub fn is_of(&self, row: &Row) -> bool {
        let netns = row.netns.as_ref().map(|netns| netns.inode).filter(|inode| *inode != 0);
        let is_here = self.netns.is_none_or(|own| netns.is_none_or(|netns| netns == own));
        is_here
            && row.cause_name().is_some_and(|name| self.explains.iter().any(|explained| explained == name))
    }

    /// What, why, and where all of it is told.
    pub fn told(&self) -> String {
        let Self { subject, cause, verify, .. } = self;
        let sentence = grouped(&self.sentence);
        format!("{subject}: {sentence} {cause} What helps: {verify}")
    }
}

/// As one line; the first word says who says so.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "doctor: {}", self.told())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::knowledge::Class;
    use crate::model::{Netns, Reason, Site};

    fn row(reason: &str, netns: u32) -> Row {
        let reason =
            Reason { number: 1, name: reason.into(), class: Class::Unknown, subsystem: "core".into() };
        Row {
            reason: Some(Arc::new(reason)),
            site: Some(Arc::new(Site { function: Some("f".into()), ..Site::default() })),
            netns: Some(Arc::new(Netns { inode: netns, ..Netns::default() })),
            ..Row::default()
        }
    }

    #[rstest::rstest]
    #[case::its_own(row("TCP_LISTEN_OVERFLOW", 7), true)]
    #[case::elsewhere(row("TCP_LISTEN_OVERFLOW", 8), false)]
    #[case::nobody_knows_where(row("TCP_LISTEN_OVERFLOW", 0), true)]
    #[case::another_reason(row("NO_SOCKET", 7), false)]
    #[case::by_the_function(row("NOT_SPECIFIED", 7), true)]
    #[case::nothing_is_known(Row::default(), false)]
    fn drops_are_its_by_reason_or_function_and_namespace(#[case] row: Row, #[case] its: bool) {
        let explanation = Explanation {
            check: "tcp-listen-overflow".into(),
            severity: "critical".into(),
            subject: "listener".into(),
            sentence: "Its queue is full.".into(),
            cause: "It is slow.".into(),
            explains: vec!["TCP_LISTEN_OVERFLOW".into(), "f".into()],
            verify: "netdrop doctor --only tcp-listen-overflow".into(),
            netns: Some(7),
        };
        assert_eq!(explanation.is_of(&row), its);
    }
}
